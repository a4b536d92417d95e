"""Chapter 6: Redis answers, and refuses to write: no result and no task is lost."""

import secrets
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from course.processes import Process, Redis
from course.testkit import RunningProject, eventually, expect

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(180)]

CELERY = "project/celery_utils.py"
RESULTS = "project/results.py"
# Redis gives a message that was not acknowledged to the next worker soon.
SOON = {"CELERY_VISIBILITY_TIMEOUT": "5", "NEWSLETTER_DEADLINE_SECONDS": "4"}


@contextmanager
def out_of_memory(redis: Redis) -> Iterator[str]:
    redis.client.config_set("maxmemory", "1")
    yield "used memory"
    redis.client.config_set("maxmemory", "0")


@contextmanager
def replica(redis: Redis) -> Iterator[str]:
    redis.client.replicaof("127.0.0.1", 1)
    yield "read only replica"
    redis.client.replicaof("NO", "ONE")


@contextmanager
def cannot_save(redis: Redis) -> Iterator[str]:
    """A folder stands where its file should be: Redis refuses each write until it can save."""
    in_the_way = Path(str(redis.client.config_get("dir")["dir"]), "dump.rdb")
    in_the_way.unlink(missing_ok=True)
    (in_the_way / "full").mkdir(parents=True)
    redis.client.config_set("save", "3600 1")

    def last_save() -> str:
        if not redis.client.info("persistence")["rdb_bgsave_in_progress"]:
            redis.client.bgsave()
        return str(redis.client.info("persistence")["rdb_last_bgsave_status"])

    eventually(last_save, lambda last: last == "err", "Redis cannot save", within=10)
    yield "MISCONF"
    (in_the_way / "full").rmdir()
    in_the_way.rmdir()
    eventually(last_save, lambda last: last == "ok", "Redis can save again", within=10)


@contextmanager
def loading(redis: Redis) -> Iterator[str]:
    """It was killed, and reads its data, a key in a quarter of a second, until it may hurry."""
    redis.client.mset({f"filler:{number}": secrets.token_hex(2000) for number in range(200)})
    redis.kill()
    slowly = ["--key-load-delay", "250000", "--loading-process-events-interval-bytes", "1024"]
    with ThreadPoolExecutor(1) as pool:
        started = pool.submit(redis.start, *slowly, limit=60)
        yield "loading the dataset"
        redis.client.config_set("key-load-delay", "0")
        started.result()


REFUSALS = [out_of_memory, replica, cannot_save, loading]


def wait_for_note(worker: Process, words: str) -> None:
    eventually(
        lambda: "\n".join(worker.lines),
        lambda text: words in text,
        f"the worker notes {words!r}",
        within=15,
    )


def expect_one_run(project: RunningProject, task_ids: list[str]) -> None:
    """Each task has run once, and no message of theirs is left."""
    client = project.redis.client
    eventually(
        lambda: (client.hlen("unacked"), client.llen("celery")),
        lambda left: left == (0, 0),
        "all messages are acknowledged",
        within=20,
        look_at=CELERY,
    )
    calls = sum("POST /subscribers" in line for line in project.newsletter.lines)
    expect("times that the tasks ran", calls, len(task_ids), look_at=CELERY)
    expect("the worker's exit code", project.worker.exit_code, None, look_at=CELERY)


@pytest.mark.parametrize("refusing", REFUSALS)
def test_refused_as_a_task_ends(
    own_project: Callable[..., RunningProject], refusing: Callable[..., object]
) -> None:
    """The result is stored once Redis writes again, and the worker goes on with the next task."""
    project = own_project()
    task_id = project.subscribe("slow+2@example.com")
    eventually(
        lambda: project.status(task_id)["state"],
        lambda state: state == "STARTED",
        "the task starts",
        within=10,
    )
    with refusing(project.redis) as words:  # type: ignore[attr-defined]
        wait_for_note(project.worker, words)
        eventually(
            lambda: sum("POST /subscribers" in line for line in project.newsletter.lines),
            lambda calls: calls == 1,
            "the service has answered",
            within=10,
        )
    last = project.follow_to_the_end(task_id, within=40)
    expect("the last state", last["state"], "SUCCESS", look_at=RESULTS)
    next_id = project.subscribe("slow+0@example.com")
    expect("the next task", project.follow_to_the_end(next_id, within=20)["state"], "SUCCESS")
    expect_one_run(project, [task_id, next_id])


@pytest.mark.parametrize("refusing", REFUSALS)
def test_refused_as_tasks_start(
    own_project: Callable[..., RunningProject], refusing: Callable[..., object]
) -> None:
    """Messages wait in Redis, which refuses to write as a worker starts: all run afterwards."""
    project = own_project("newsletter", "web")
    task_ids = [project.subscribe(f"slow+0.{number}@example.com") for number in range(3)]
    with refusing(project.redis) as words:  # type: ignore[attr-defined]
        project.worker = project.launch_worker(**SOON)
        wait_for_note(project.worker, words)
    states = [project.follow_to_the_end(one, within=60)["state"] for one in task_ids]
    expect("the last states", states, ["SUCCESS"] * 3, look_at=CELERY)
    expect_one_run(project, task_ids)


def test_refused_as_a_message_is_taken(own_project: Callable[..., RunningProject]) -> None:
    """Redis fills up as a worker takes a message: the worker holds it until Redis has room."""
    project = own_project("newsletter", "web")
    client = project.redis.client
    task_id = project.subscribe("slow+0@example.com")
    message = str(client.rpop("celery"))
    project.worker = project.launch_worker()
    project.wait_worker(project.worker)

    def sent_to_the_stopped_worker() -> bool:
        """It waits for a message most of the time: if it did as it was stopped, the next is its."""
        project.worker.signal(signal.SIGSTOP)
        client.lpush("celery", message)
        if client.rpop("celery") is None:
            return True
        project.worker.signal(signal.SIGCONT)
        return False

    eventually(sent_to_the_stopped_worker, bool, "the worker waits for a message", within=10)
    expect("messages noted as taken", client.hlen("unacked"), 0)
    with out_of_memory(project.redis) as words:
        project.worker.signal(signal.SIGCONT)
        wait_for_note(project.worker, words)
    last = project.follow_to_the_end(task_id, within=20)
    expect("the last state", last["state"], "SUCCESS", look_at="project/broker.py")
    expect_one_run(project, [task_id])
