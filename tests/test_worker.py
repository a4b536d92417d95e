"""The worker's side of chapter 6: what its own tests need not judge in anybody's code."""

import time
from collections.abc import Iterator
from contextlib import ExitStack

import psutil
import pytest

from course.content.chapters import find_chapter
from course.processes import Process, Redis, redis_server
from course.testkit import RunningProject, expect, expect_that, running

FOLDER = find_chapter("06").folder
pytestmark = pytest.mark.thorough


@pytest.fixture
def queue() -> Iterator[Redis]:
    """A Redis for pub/sub alone: it can be counted, and killed, while the results stay."""
    server = Redis().start()
    yield server
    server.stop()


@pytest.fixture
def project() -> Iterator[RunningProject]:
    """Chapter 6 without web and worker, which each test starts as it needs them."""
    with ExitStack() as stack:
        yield stack.enter_context(running(FOLDER, "newsletter"))


def start_worker(project: RunningProject, options: str, queue: Redis) -> Process:
    worker = project.launch_worker(options, WS_MESSAGE_QUEUE=queue.url)
    project.wait_worker(worker)
    return worker


def publishers(queue: Redis) -> int:
    """The connections whose last command was a publish, or what is counted with it."""
    return sum(client["cmd"] in ("publish", "hincrby") for client in queue.client.client_list())


@pytest.mark.parametrize("pool", ["prefork", "solo", "threads"])
def test_worker_keeps_one_connection(project: RunningProject, queue: Redis, pool: str) -> None:
    """In every pool the end is published over a connection that is made once a process."""
    web = project.start_web(WS_MESSAGE_QUEUE=queue.url)
    start_worker(project, f"--pool {pool} --concurrency 1", queue)
    counts = []
    for _ in range(5):
        with project.follow(project.subscribe("slow+0.1@example.com", web), web) as follower:
            expect("the last state", follower.until_final(within=4)["state"], "SUCCESS")
        counts.append(publishers(queue))
    # When a task starts, the worker's main process may publish, too.
    expect_that(max(counts) <= 2, "one connection a process", counts)
    expect("connections after the last task", counts[-1], counts[1])


def test_publishing_gives_up_soon(project: RunningProject, queue: Redis) -> None:
    """With the queue gone the handler gives up within 2 s, and the task's result is not harmed."""
    web = project.start_web(WS_MESSAGE_QUEUE=queue.url)
    start_worker(project, "--concurrency 1", queue)
    queue.kill()
    start = time.monotonic()
    first = project.subscribe("slow+0.1@example.com", web)
    second = project.subscribe("slow+0.1@example.com", web)
    expect("the first task's state", project.until_final(first, web)["state"], "SUCCESS")
    expect("the second task's state", project.until_final(second, web)["state"], "SUCCESS")
    seconds = time.monotonic() - start
    # The worker has one pool process: the second task waits for the first one's handler.
    expect_that(seconds < 4, "the second task ends within 4 s", f"after {seconds:.1f} s")

    queue.start()
    last = project.follow_to_the_end(project.subscribe("slow+0.1@example.com", web), web)
    expect("the state once the queue is back", last["state"], "SUCCESS")


def test_killed_pool_process_is_run_again(project: RunningProject, queue: Redis) -> None:
    """A task whose pool process is killed is retried, and its client is notified of that."""
    web = project.start_web(WS_MESSAGE_QUEUE=queue.url, WS_FALLBACK_POLL_SECONDS="60")
    worker = start_worker(project, "--concurrency 1", queue)
    with project.follow(project.subscribe("slow+30@example.com", web), web) as follower:
        while follower.next()["state"] != "STARTED":
            pass
        psutil.Process(worker.pid).children()[0].kill()
        # Celery itself may take 5 s to notice the death.
        expect("the next state", follower.next()["state"], "RETRY")


def test_own_redis_goes_with_its_files() -> None:
    """A Redis of our own answers, and is gone afterwards."""
    with redis_server() as server:
        assert server.answers()
    if server.is_ours:
        assert not server.answers()
