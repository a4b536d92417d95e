"""Chapter 6 under faults: a client that stays, or reconnects, receives the true end."""

import asyncio
import json
import random
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from celery import Celery

from course.processes import Process, wait_for
from course.testkit import (
    FINAL,
    RunningProject,
    Web,
    eventually,
    expect,
    expect_that,
    run_async,
)

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(120)]

VIEWS = "project/ws/views.py"
CELERY = "project/celery_utils.py"
# A task that a dead worker had is run again soon.
SOON = {"CELERY_VISIBILITY_TIMEOUT": "5", "NEWSLETTER_DEADLINE_SECONDS": "4"}
HERE = Path(__file__).parent
MANY = {
    "WS_MOST_PER_CLIENT": "100000",
    "WS_MOST_PER_TASK": "100000",
    "TASKS_PER_MINUTE": "100000",
}


@pytest.fixture
def own(own_project: Callable[..., RunningProject]) -> RunningProject:
    """A project of this test's own, whose Redis and processes it may harm."""
    return own_project()


def all_learn(
    project: RunningProject,
    task_ids: list[str],
    meanwhile: Callable[[], object] = lambda: None,
    web: Web | None = None,
    within: float = 40,
) -> None:
    """Follow all the tasks at once, do something meanwhile, and expect that all end in SUCCESS."""
    __tracebackhide__ = True

    async def crowd() -> list[str | None]:
        following = [asyncio.create_task(project.stay(one, web, within)) for one in task_ids]
        await asyncio.sleep(0.5)
        await asyncio.to_thread(meanwhile)
        return [state for state, _ in await asyncio.gather(*following)]

    states = run_async(crowd)
    learned = {state: states.count(state) for state in set(states)}
    expect("the ends that the clients learn", learned, {"SUCCESS": len(task_ids)}, look_at=VIEWS)


def tag_of_the_only_one(project: RunningProject) -> str:
    """What the broker calls the one task that a worker has taken and not yet ended."""
    (tag,) = project.redis.client.zrange("unacked_index", 0, -1)
    return str(tag)


def tasks(project: RunningProject, number: int, seconds: float) -> list[str]:
    """Start one task, and name it for so many clients."""
    return [project.subscribe(f"slow+{seconds}@example.com")] * number


class TestRedis:
    """What can happen to Redis."""

    def test_who_came_in_vain_leaves_nothing(self, own: RunningProject) -> None:
        """Who came while Redis was away, and never again, is not subscribed when it is back."""
        patient = own.web_with(WS_FALLBACK_POLL_SECONDS="60")
        task_ids = [own.pending_task() for _ in range(6)]
        with own.follow(task_ids.pop(), patient) as stays:
            stays.next()
            (channel,) = own.channels()
            own.redis.kill()
            for task_id in task_ids:
                with own.follow(task_id, patient) as turned_away:
                    expect("the close code", turned_away.close_code(), 1012, look_at=VIEWS)
            own.redis.start()
            eventually(own.channels, bool, "who stayed is subscribed again", within=15)
            eventually(
                own.channels,
                lambda channels: channels <= {channel},
                "no channel of those who were turned away",
                within=3,
                look_at=VIEWS,
            )

    def test_killed_and_restarted(self, own: RunningProject) -> None:
        """Redis is killed and comes back with its data, while 50 clients wait: all learn."""

        def restart() -> None:
            own.redis.kill()
            time.sleep(1)
            own.redis.start()

        all_learn(own, tasks(own, 50, 3), restart)

    def test_killed_before_the_clients_come(self, own: RunningProject) -> None:
        """Clients that come while Redis is away come back, and learn."""
        task_ids = tasks(own, 20, 1)
        time.sleep(0.5)
        own.redis.kill()
        all_learn(own, task_ids, own.redis.start)

    def test_frozen(self, own: RunningProject) -> None:
        """Redis stands still for 5 s: all learn, and the page is served meanwhile."""

        def freeze() -> None:
            own.redis.signal(signal.SIGSTOP)
            start = time.monotonic()
            own.http.get(own.url)
            seconds = time.monotonic() - start
            time.sleep(5)
            own.redis.signal(signal.SIGCONT)
            expect_that(seconds < 1, "GET / within 1 s", f"after {seconds:.1f} s")

        all_learn(own, tasks(own, 50, 2), freeze)

    def test_pubsub_connections_killed(self, project: RunningProject) -> None:
        """The connections that listen are cut in the moment of the end: all learn."""

        def cut() -> None:
            for _ in range(10):
                project.redis.client.client_kill_filter(_type="pubsub")
                time.sleep(0.1)

        all_learn(project, tasks(project, 50, 1), cut)

    def test_nothing_is_queued_while_away(self, own: RunningProject) -> None:
        """POST while Redis is away: 503, no task half-made, and it works again by itself."""
        own.redis.kill()
        expect("the status of POST", own.post("a@example.com").status_code, 503)
        own.redis.start()
        time.sleep(1)
        expect("tasks queued", own.redis.client.llen("celery"), 0)
        last = own.follow_to_the_end(own.subscribe("slow+0.1@example.com"), within=30)
        expect("the state of the next task", last["state"], "SUCCESS")


class TestWorker:
    """What can happen to a task and to its worker."""

    @pytest.fixture
    def client(self, project: RunningProject) -> Iterator[Celery]:
        """A Celery client that can send the faulty tasks, to a queue of their own."""
        with Celery(broker=project.redis.url, backend=project.redis.url) as client:
            yield client

    def send(self, project: RunningProject, client: Celery, name: str, *args: object) -> str:
        """Send a faulty task in the place of one that this session has started."""
        task_id = project.pending_task()
        client.send_task(f"faulty.{name}", args, task_id=task_id, queue="faulty")
        return task_id

    @pytest.fixture
    def faulty_worker(self, project: RunningProject) -> Iterator[Process]:
        """A worker that knows the faulty tasks, and takes no others."""
        options = "--include faulty_tasks --queues faulty --hostname faulty@%h"
        worker = project.launch_worker(options, PYTHONPATH=str(HERE))
        project.wait_worker(worker)
        yield worker
        project.end(worker)

    @pytest.mark.parametrize(
        ("name", "state"),
        [
            ("exits", "FAILURE"),
            ("unserialisable", "FAILURE"),
            ("huge_error", "FAILURE"),
            ("unpicklable", "FAILURE"),
            ("too_long", "FAILURE"),
            ("killed", "FAILURE"),
            ("retries_to_the_end", "FAILURE"),
        ],
    )
    def test_bad_end_is_told(
        self,
        project: RunningProject,
        client: Celery,
        faulty_worker: Process,
        name: str,
        state: str,
    ) -> None:
        """However badly a task ends, its followers are told, and told no secrets."""
        task_id = self.send(project, client, name)
        with project.follow(task_id) as follower:
            last = follower.until_final(within=15)
            expect("the last state", last["state"], state, look_at=CELERY)
            expect_that("secret" not in str(last), "no text of a raw exception", last)
            expect_that(len(str(last)) < 1000, "a short message", f"{len(str(last))} characters")

    def test_other_tasks_results_are_kept(
        self, project: RunningProject, client: Celery, faulty_worker: Process
    ) -> None:
        """Of another app's task in the same backend, the state is told and no more."""
        task_id = self.send(project, client, "waits", 0.1)
        last = project.follow_to_the_end(task_id)
        expect("the state", last["state"], "SUCCESS")
        expect("the result of somebody else's task", last["result"], None, look_at=CELERY)

    def test_revoked_before_it_starts(
        self, project: RunningProject, client: Celery, faulty_worker: Process
    ) -> None:
        """A task revoked before it starts ends as REVOKED, and that is told."""
        task_id = project.pending_task()
        client.send_task("faulty.waits", [1], task_id=task_id, queue="faulty", countdown=2)
        client.control.revoke(task_id)
        with project.follow(task_id) as follower:
            expect("the last state", follower.until_final(within=10)["state"], "REVOKED")

    def test_revoked_while_it_runs(
        self, project: RunningProject, client: Celery, faulty_worker: Process
    ) -> None:
        """A task that is terminated ends as REVOKED, and that is told."""
        task_id = self.send(project, client, "waits", 60)
        with project.follow(task_id) as follower:
            while follower.next()["state"] != "STARTED":
                pass
            client.control.revoke(task_id, terminate=True)
            expect("the last state", follower.until_final(within=10)["state"], "REVOKED")

    def test_retry_in_vain(self, project: RunningProject) -> None:
        """A task that fails at each of its tries ends as FAILURE, with an error for the public."""
        address = f"busy+9@{uuid.uuid4().hex}.example.com"
        last = project.follow_to_the_end(project.subscribe(address), within=40)
        expect("the last state", last["state"], "FAILURE")
        expect("the error", last["error"], "The newsletter service is too busy.")

    def test_dead_workers_task_is_run_again(
        self, own_project: Callable[..., RunningProject]
    ) -> None:
        """A worker is killed with all its processes: another one runs its task, to the end."""
        project = own_project("newsletter")
        soon = SOON
        web = project.start_web(None, **soon)
        worker = project.launch_worker(**soon)
        project.wait_worker(worker)
        task_id = project.subscribe("slow+3@example.com", web)
        eventually(
            lambda: project.status(task_id, web)["state"],
            lambda state: state == "STARTED",
            "the task starts",
            within=5,
        )

        def kill_and_start_again() -> None:
            worker.kill()
            tag = tag_of_the_only_one(project)
            taken_at = project.redis.client.zscore("unacked_index", tag) or 0.0
            eventually(
                lambda: time.time() - taken_at,
                lambda age: age > 5,
                "the visibility timeout passes",
                within=10,
            )
            project.launch_worker(**soon)

        all_learn(project, [task_id] * 5, kill_and_start_again, web)

    def test_task_that_runs_twice(self, own_project: Callable[..., RunningProject]) -> None:
        """A clock that is wrong by an hour has a task run twice: each client learns one end."""
        project = own_project("newsletter")
        web = project.start_web()
        workers = [project.launch_worker()]
        project.wait_worker(workers[0])
        task_id = project.subscribe("slow+6@example.com", web)

        def log_says(what: str) -> int:
            return sum(f"[{task_id}] {what}" in line for one in workers for line in one.lines)

        with project.follow(task_id, web) as follower:
            while follower.next()["state"] != "STARTED":
                pass
            # To a host whose clock is an hour ahead, the task was taken an hour ago.
            project.redis.client.zincrby("unacked_index", -3600, tag_of_the_only_one(project))
            workers.append(project.launch_worker("--hostname second@%h"))
            eventually(
                lambda: log_says("received"), lambda n: n == 2, "it is taken twice", within=20
            )
            follower.until_final(within=20)
            expect("the close code", follower.close_code(), 1000)
            ends = [state for state in follower.states if state in FINAL]
            expect("the ends that the client was told", ends, ["SUCCESS"])
        with project.follow(task_id, web) as late:
            expect("what a late client learns first", late.next()["state"], "SUCCESS")
        eventually(lambda: log_says("succeeded"), lambda n: n == 2, "it ends twice", within=20)
        expect("the state after both runs", project.status(task_id, web)["state"], "SUCCESS")


class TestWeb:
    """What can happen to the web process."""

    def test_killed_with_200_sockets(self, project: RunningProject) -> None:
        """The web process is killed with 200 sockets open and started again: all learn."""
        web = project.start_web(None, **MANY)

        def restart() -> None:
            web.process.kill()
            project.start_web(web.port, **MANY)

        all_learn(project, tasks(project, 200, 3), restart, web)

    def test_ends_soon_with_200_sockets(self, project: RunningProject) -> None:
        """SIGTERM with 200 sockets open: all are closed with 1012, and it is gone within 3 s."""
        web = project.start_web(None, **MANY)
        seconds = 0.0

        async def crowd() -> list[int | None]:
            nonlocal seconds
            task_id = await asyncio.to_thread(project.subscribe, "slow+60@example.com")
            sockets = [await project.open_socket(task_id, web) for _ in range(200)]
            for socket in sockets:
                await asyncio.wait_for(socket.recv(), 10)
            start = time.monotonic()
            await asyncio.to_thread(project.end, web.process)
            seconds = time.monotonic() - start
            for socket in sockets:
                await asyncio.wait_for(socket.wait_closed(), 5)
            return [socket.close_code for socket in sockets]

        codes = run_async(crowd)
        expect("the close codes", set(codes), {1012})
        expect_that(seconds < 3, "an end within 3 s of SIGTERM", f"after {seconds:.1f} s")


class TestMoment:
    """The end comes before, during and just after the subscription."""

    def test_thousand_random_moments(self, project: RunningProject) -> None:
        """Of 1,000 clients that come at random moments none misses the end, none is told twice."""
        web = project.web_with(WS_FALLBACK_POLL_SECONDS="5", **MANY)
        randomly = random.Random(5)
        moments = [randomly.uniform(0, 1.2) for _ in range(1000)]

        async def one(task_id: str, moment: float) -> list[str]:
            await asyncio.sleep(moment)
            async with await project.open_socket(task_id, web) as socket:
                frames = [json.loads(frame)["state"] async for frame in socket]
                return [state for state in frames if state in FINAL]

        async def crowd() -> list[list[str]]:
            told = []
            for group in range(10):
                seconds = 0.3 + group / 20
                email = f"slow+{seconds:.2f}@example.com"
                task_id = await asyncio.to_thread(project.subscribe, email)
                clients = [one(task_id, moment) for moment in moments[group * 100 :][:100]]
                told += await asyncio.wait_for(asyncio.gather(*clients), 30)
            return told

        told = run_async(crowd)
        expect("clients told the end exactly once", told.count(["SUCCESS"]), 1000, look_at=VIEWS)


class TestClients:
    """What clients can do by accident."""

    def test_frozen_client_is_let_go(self, own_project: Callable[..., RunningProject]) -> None:
        """A client that vanishes without closing is let go after the ping time-out."""
        project = own_project("web")
        command = "python -c 'import sys, time; from websockets.sync.client import connect; "
        command += "url, origin, cookie = sys.argv[1:]; headers = dict(Cookie=cookie); "
        command += "socket = connect(url, origin=origin, additional_headers=headers); "
        command += "socket.recv(); print(1); time.sleep(99)' "
        url = project.web.task_socket(project.pending_task())
        command += f"{url} {project.web.origin} {project.cookie_header['Cookie']}"
        before = project.channels()
        client = project.launch("client", command)
        expect_that(wait_for(lambda: "1" in client.lines, 10), "a connected client", client.lines)
        expect("channels followed", len(project.channels() - before), 1)
        client.signal(signal.SIGSTOP)
        eventually(
            lambda: project.channels() - before,
            lambda channels: not channels,
            "the vanished client's channel is given up",
            within=50,
            usually="pings are off, so nobody notices",
            look_at="Procfile",
        )

    def test_clients_that_never_read(self, project: RunningProject) -> None:
        """Clients that never read cost a bounded amount of memory, and disturb nobody."""
        web = project.web_with(WS_FALLBACK_POLL_SECONDS="5", **MANY)
        process = psutil.Process(web.process.pid)

        async def crowd() -> int:
            task_id = await asyncio.to_thread(project.subscribe, "slow+1@example.com")
            mute = []
            question = f"GET /ws/task_status/{task_id} HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\n"
            question += f"Origin: {web.origin}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            question += f"Cookie: {project.cookie_header['Cookie']}\r\n"
            question += "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + "A" * 22 + "==\r\n\r\n"
            before = process.memory_info().rss
            for _ in range(200):
                _, writer = await asyncio.open_connection("127.0.0.1", web.port, limit=1)
                writer.write(question.encode())
                mute.append(writer)
            state, _ = await project.stay(task_id, web, within=20)
            expect("the state that a reading client learns", state, "SUCCESS")
            grown = process.memory_info().rss - before
            for writer in mute:
                writer.close()
            return grown

        grown = run_async(crowd)
        expect_that(
            grown < 60_000_000, "less than 60 MB more for 200 mute clients", f"{grown:,} bytes"
        )


class TestLoad:
    """Many at once."""

    def test_two_thousand_sockets(self, own_project: Callable[..., RunningProject]) -> None:
        """2,000 sockets on one web process, 500 tasks that end within a second: all are told."""
        project = own_project("newsletter")
        web = project.start_web(None, WS_FALLBACK_POLL_SECONDS="30", **MANY)
        project.launch_worker("--pool threads --concurrency 100")
        url = f"{web.url}/subscriptions"
        project.subscribe("slow+0@example.com", web)  # the session that all clients have

        async def crowd() -> dict[str | None, int]:
            async with httpx.AsyncClient(timeout=60, cookies=project.http.cookies) as http:
                body = {"email": "slow+12@example.com"}
                task_ids = []
                for _ in range(10):
                    answers = await asyncio.gather(*(http.post(url, json=body) for _ in range(10)))
                    task_ids += [answer.json()["task_id"] for answer in answers]
                following = [project.stay(task_ids[n % 100], web, within=60) for n in range(2000)]
                states = [state for state, _ in await asyncio.gather(*following)]
            return {state: states.count(state) for state in set(states)}

        expect("the ends that 2,000 clients learn", run_async(crowd), {"SUCCESS": 2000})
