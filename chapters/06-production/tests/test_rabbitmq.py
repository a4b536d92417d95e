"""Chapter 6 with RabbitMQ as the broker: a task cannot be lost with a worker's host."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from course.processes import HOST, free_port, wait_for
from course.testkit import eventually, expect, expect_that, running

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.timeout(240),
    pytest.mark.skipif(
        not shutil.which("rabbitmq-server"),
        reason="no RabbitMQ on this machine: apt-get install rabbitmq-server",
    ),
]

SETTINGS: dict[str, object] = {"WS_FALLBACK_POLL_SECONDS": 60}


@pytest.fixture
def broker_url(tmp_path: Path) -> Iterator[str]:
    """A RabbitMQ of this test's own: its files, its ports, its Erlang node."""
    port, distribution = free_port(), free_port()
    home = tmp_path / "home"
    for folder in ("home", "data", "logs"):
        (tmp_path / folder).mkdir()
    (tmp_path / "rabbitmq.conf").write_text(f"listeners.tcp.default = {HOST}:{port}\n")
    (tmp_path / "enabled_plugins").write_text("[].\n")
    environment = os.environ | {
        "HOME": str(home),
        "RABBITMQ_NODENAME": f"course{port}@localhost",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(distribution),
        "ERL_EPMD_ADDRESS": HOST,
        "ERL_EPMD_PORT": str(free_port()),
        "RABBITMQ_CONFIG_FILE": str(tmp_path / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(tmp_path / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(tmp_path / "data"),
        "RABBITMQ_LOG_BASE": str(tmp_path / "logs"),
        "RABBITMQ_PID_FILE": str(tmp_path / "pid"),
    }
    # Debian's own `rabbitmq-server` changes the user; the one beside it is RabbitMQ's.
    found = sorted(Path("/usr/lib/rabbitmq").glob("lib/*/sbin/rabbitmq-server"))
    command = [str(found[-1]) if found else "rabbitmq-server"]
    with (tmp_path / "output").open("wb") as output:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        ready = wait_for(lambda: "completed with" in (tmp_path / "output").read_text(), 90)
        assert ready, (tmp_path / "output").read_text()
        yield f"amqp://guest:guest@{HOST}:{port}//"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        # epmd leads a session of its own.
        subprocess.run(["epmd", "-kill"], env=environment, capture_output=True, timeout=10)


def test_dead_workers_task_is_run_again_at_once(broker_url: str, folder: Path) -> None:
    """A worker is killed with its pool: RabbitMQ gives its task to another within 5 s."""
    with running(folder, settings=SETTINGS | {"CELERY_BROKER_URL": broker_url}) as project:
        answer = project.http.get(f"{project.url}/readyz")
        expect("the status of /readyz", answer.status_code, 200)
        workers = [project.worker, project.launch_worker("--hostname second@%h")]
        project.wait_worker(workers[1])
        task_id = project.subscribe("slow+4@example.com")
        eventually(
            lambda: project.status(task_id)["state"],
            lambda state: state == "STARTED",
            "the task starts",
            within=10,
        )
        workers.sort(key=lambda worker: any(f"[{task_id}]" in line for line in worker.lines))
        second, first = workers
        with project.follow(task_id) as follower:
            first.kill()
            eventually(
                lambda: any(f"[{task_id}] received" in line for line in second.lines),
                bool,
                "the other worker receives the task",
                within=5,
            )
            last = follower.until_final(within=15)
            expect("the last state", last["state"], "SUCCESS")
        keys = project.redis.client.exists("celery", "unacked")
        expect_that(keys == 0, "no task in Redis: the broker is RabbitMQ", keys)
