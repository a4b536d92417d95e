"""Chapter 6: no result and no task is lost, none runs twice for one request."""

import re
import signal
import time
import uuid
from collections.abc import Callable

import pytest

from course.processes import Process
from course.testkit import RunningProject, eventually, expect, expect_that

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(180)]

CELERY = "project/celery_utils.py"
VIEWS = "project/subscriptions/views.py"
SOON = {"CELERY_VISIBILITY_TIMEOUT": "5", "NEWSLETTER_DEADLINE_SECONDS": "4"}
ACKED = "the task was acknowledged as it began: with task_acks_late it is when it has ended"
RESTORED_WITHIN = 30  # seconds after the visibility time-out
FORGOTTEN_WITHIN = 60  # seconds after the death of a worker that held the lock of that search


@pytest.fixture
def own(own_project: Callable[..., RunningProject]) -> RunningProject:
    """A project of this test's own, whose Redis and processes it may harm."""
    return own_project()


def started(project: RunningProject, email: str) -> str:
    """The id of a task that has started."""
    task_id = project.subscribe(email)
    eventually(
        lambda: project.status(task_id)["state"],
        lambda state: state == "STARTED",
        "the task starts",
        within=10,
    )
    return task_id


def seconds_of_the_lock(project: RunningProject) -> int:
    """For how long a worker takes the lock when it searches for what others have left."""
    with project.redis.client.monitor() as monitor:  # type: ignore[no-untyped-call]
        commands = (str(said["command"]) for said in monitor.listen())
        taken = (re.match(r"SET unacked_mutex .*\bPX (\d+)", command) for command in commands)
        return next(int(match[1]) // 1000 for match in taken if match)


def calls_of_the_newsletter(project: RunningProject) -> int:
    return sum("POST /subscribers" in line for line in project.newsletter.lines)


class TestResult:
    """Redis does not take the result as the task ends, and does later."""

    def test_redis_is_full(self, own: RunningProject) -> None:
        """Redis is out of memory (OOM) for some seconds: the result is stored afterwards."""
        task_id = started(own, "slow+1@example.com")
        own.redis.client.config_set("maxmemory", "1")
        eventually(
            lambda: "\n".join(own.worker.lines),
            lambda text: "OutOfMemoryError" in text or "used memory" in text,
            "the worker notes that Redis is full",
            within=10,
        )
        own.redis.client.config_set("maxmemory", "0")
        last = own.follow_to_the_end(task_id)
        expect("the last state", last["state"], "SUCCESS", look_at="project/results.py")
        expect("times that it ran", calls_of_the_newsletter(own), 1)

    def test_redis_is_a_replica(self, own: RunningProject) -> None:
        """Redis refuses writes (READONLY) for some seconds: the result is stored afterwards."""
        task_id = started(own, "slow+1@example.com")
        own.redis.client.replicaof("127.0.0.1", 1)
        eventually(
            lambda: "\n".join(own.worker.lines),
            lambda text: "read only replica" in text,
            "the worker notes that Redis takes no writes",
            within=10,
        )
        own.redis.client.replicaof("NO", "ONE")
        last = own.follow_to_the_end(task_id, within=40)
        expect("the last state", last["state"], "SUCCESS", look_at="project/results.py")
        expect("the worker's exit code", own.worker.exit_code, None, look_at=CELERY)


class TestWorkersDeath:
    """A worker ends with a task in its hands."""

    def test_sigterm_to_the_whole_group(self, own: RunningProject) -> None:
        """SIGTERM to the worker and its pool, as systemd does: the next worker runs the task."""
        task_id = started(own, "slow+3@example.com")
        own.worker.signal(signal.SIGTERM)  # to the process group
        expect_that(own.worker.wait(20) is not None, "the worker ends", "it runs on")
        own.worker = own.launch_worker()
        last = own.follow_to_the_end(task_id, within=30)
        expect("the last state", last["state"], "SUCCESS", look_at=CELERY)

    def test_run_again_soon(self, own_project: Callable[..., RunningProject]) -> None:
        """A killed worker's task is run again within 30 s of its visibility time-out."""
        project = own_project("newsletter", "web")
        workers = [project.launch_worker(f"--hostname {name}@%h", **SOON) for name in "ab"]
        for worker in workers:
            project.wait_worker(worker)
        task_id = started(project, "slow+3@example.com")
        self.kill_the_one_with(task_id, workers)
        within = 5 + RESTORED_WITHIN + 3
        last = project.follow_to_the_end(task_id, within=within, usually=ACKED, look_at=CELERY)
        expect("the last state", last["state"], "SUCCESS", look_at=CELERY)

    def test_run_again_although_the_lock_is_held(
        self, own_project: Callable[..., RunningProject]
    ) -> None:
        """The same, 60 s after a worker has died that held `unacked_mutex`."""
        project = own_project("newsletter", "web")
        workers = [project.launch_worker(f"--hostname {name}@%h", **SOON) for name in "ab"]
        for worker in workers:
            project.wait_worker(worker)
        task_id = started(project, "slow+3@example.com")
        lock_seconds = seconds_of_the_lock(project)
        project.redis.client.set("unacked_mutex", "dead", ex=lock_seconds)
        self.kill_the_one_with(task_id, workers)
        within = FORGOTTEN_WITHIN + 3
        last = project.follow_to_the_end(task_id, within=within, usually=ACKED, look_at=CELERY)
        expect("the last state", last["state"], "SUCCESS", look_at=CELERY)

    def kill_the_one_with(self, task_id: str, workers: list[Process]) -> None:
        owner = next(one for one in workers if any(f"[{task_id}]" in line for line in one.lines))
        owner.kill()


class TestRequest:
    """A request is repeated, as its answer was lost."""

    def test_frozen_redis_starts_nothing_twice(self, own: RunningProject) -> None:
        """Three tries with one key while Redis stands still, one after: the task runs once."""
        key = {"Idempotency-Key": uuid.uuid4().hex}
        body = {"email": "slow+0@example.com"}

        def post() -> tuple[int, str]:
            answer = own.http.post(f"{own.url}/subscriptions", json=body, headers=key)
            return answer.status_code, answer.text

        own.subscribe("slow+0@example.com")  # the session
        eventually(lambda: calls_of_the_newsletter(own), lambda n: n == 1, "it runs", within=10)
        own.redis.signal(signal.SIGSTOP)
        for _ in range(3):
            status, text = post()
            expect("the status while Redis stands still", status, 503, look_at=VIEWS)
            expect_that("Nothing was started" in text, "the truth: nothing was started", text)
        own.redis.signal(signal.SIGCONT)
        eventually(post, lambda answer: answer[0] == 202, "the request is accepted", within=5)
        expect("the status of one more", post()[0], 202)
        eventually(lambda: calls_of_the_newsletter(own), lambda n: n == 2, "it runs", within=10)
        self.expect_no_more_calls(own)

    def test_second_message_is_ignored(self, own: RunningProject) -> None:
        """A message that was sent twice, as the first seemed lost, runs one task, to one end."""
        key = {"Idempotency-Key": uuid.uuid4().hex}
        body = {"email": "refused@example.com"}
        url = f"{own.url}/subscriptions"
        task_id = own.http.post(url, json=body, headers=key).json()["task_id"]
        own.until_final(task_id)
        # As if the web process had not come to note that it has sent the message.
        own.redis.client.delete(f"newsletter:task:{task_id}:sent")
        expect("the id", own.http.post(url, json=body, headers=key).json()["task_id"], task_id)
        eventually(
            lambda: "\n".join(own.worker.lines),
            lambda text: "A second message for the same task is ignored" in text,
            "the worker ignores the second message",
            within=10,
            look_at="project/once.py",
        )
        expect("the state afterwards", own.status(task_id)["state"], "FAILURE")
        expect("times that it ran", calls_of_the_newsletter(own), 1)

    def expect_no_more_calls(self, project: RunningProject) -> None:
        """A task that is sent afterwards has ended, and no other has run before it."""
        before = calls_of_the_newsletter(project)
        project.until_final(project.subscribe("slow+0@example.com"))
        expect("calls since", calls_of_the_newsletter(project) - before, 1, look_at=VIEWS)


class TestStore:
    """What Redis has lost, it does not invent."""

    def test_lost_data_is_said(self, own: RunningProject) -> None:
        """Redis loses its data: a follower is told so at once, a page that comes back as well."""
        task_id = own.subscribe("slow+60@example.com")
        with own.follow(task_id) as follower:
            follower.next()
            own.redis.client.flushall()
            own.subscribe("slow+0@example.com")  # the store is in use again, with a new id
            last = follower.next(within=5)
            while last["state"] != "UNKNOWN":
                last = follower.next(within=5)
            expect_that("lost its data" in last["error"], "the reason", last)
            expect("the close code", follower.close_code(), 1000, look_at="project/ws/hub.py")

    def test_page_that_comes_back_is_told(self, own: RunningProject) -> None:
        """A browser that comes back after the loss is told, by HTTP and by WebSocket."""
        task_id = own.subscribe("slow+60@example.com")
        own.redis.client.flushall()
        expect("the state by HTTP", own.status(task_id)["state"], "UNKNOWN", look_at=VIEWS)
        with own.follow(task_id) as follower:
            expect("the first state", follower.next()["state"], "UNKNOWN")
            expect("the close code", follower.close_code(), 1000)


def test_long_outage_is_over_at_once(own: RunningProject) -> None:
    """Redis is away for half a minute: 2 s after its return sockets are served as before."""
    web = own.web_with(WS_FALLBACK_POLL_SECONDS="60")
    task_id = own.pending_task()
    with own.follow(task_id, web) as follower:
        follower.next()
        own.redis.kill()
        away_until = time.monotonic() + 30
        while time.monotonic() < away_until:
            expect("the close codes of waiting sockets", follower.received[1:], [])
            time.sleep(1)
        own.redis.start()
        back = time.monotonic()
        eventually(own.channels, bool, "the follower is subscribed again", within=2)
        with own.follow(own.pending_task(), web) as another:
            expect("the state", another.next(within=2)["state"], "PENDING")
        expect_that(time.monotonic() - back < 4, "both within 4 s", time.monotonic() - back)
