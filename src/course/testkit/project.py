"""The project under test: its processes, the clients that talk to it, and its Redis."""

import asyncio
import itertools
import json
import random
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection as AsyncConnection
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.sync.client import connect
from websockets.typing import Origin

from course.processes import redis_server
from course.testkit import scripts
from course.testkit.expect import NotAsExpected, eventually, expect
from course.testkit.follower import FINAL, WS_VIEWS, Follower, TaskStatus, handshake_refused
from course.testkit.launched import LaunchedProject, Web

STATUS_WORDS = {404: "there is no such view yet", 500: "the view failed"}
STATUS_LIMIT = 6.0  # seconds for an answer that need not wait for anything
SUBSCRIPTION_VIEWS = "project/subscriptions/views.py"


class RunningProject(LaunchedProject):
    """A project whose processes run, and clients for them.

    Each client takes the first web process unless another is named.
    """

    def run_script(self, name: str, *arguments: str, within: float = 20) -> scripts.Script:
        """Run a Python file of the project to its end, with the project's settings."""
        script = scripts.run(self.folder, self.environment(), name, arguments, within)
        self.scripts.append(script)
        return script

    def post(self, email: object, web: Web | None = None) -> httpx.Response:
        return self.http.post(f"{(web or self.web).url}/subscriptions", json={"email": email})

    def subscribe(self, email: str, web: Web | None = None) -> str:
        """Start a task for this address, and return the task's id."""
        __tracebackhide__ = True
        answer = self.post(email, web)
        expect(
            "the status of POST /subscriptions",
            answer.status_code,
            202,
            look_at=SUBSCRIPTION_VIEWS,
        )
        return str(answer.json()["task_id"])

    def pending_task(self) -> str:
        """The id of a task that stays PENDING: of one that was never started, or, if the project
        knows of no such task, of one at a broker that no worker takes from.
        """
        task_id = str(uuid.uuid4())
        if self.http.get(f"{self.url}/task_status/{task_id}").status_code != 404:
            return task_id
        database, number = self.redis.url.rsplit("/", 1)
        other = self.web_with(CELERY_BROKER_URL=f"{database}/{int(number) + 1}")
        return self.subscribe("ada@example.com", other)

    @property
    def cookie_header(self) -> dict[str, str]:
        """The cookies that the project has given to `http`, for a client that keeps none."""
        cookies = "; ".join(f"{one.name}={one.value}" for one in self.http.cookies.jar)
        return {"Cookie": cookies} if cookies else {}

    def ask_status(self, task_id: str, web: Web | None = None) -> httpx.Response:
        __tracebackhide__ = True
        url = f"{(web or self.web).url}/task_status/{task_id}"
        try:
            return self.http.get(url, timeout=STATUS_LIMIT)
        except httpx.ReadTimeout:
            raise NotAsExpected(
                f"an answer to GET /task_status/{{task_id}} within {STATUS_LIMIT:g} s",
                "none",
                "the view waits unasked, or something blocks the web process",
                SUBSCRIPTION_VIEWS,
            ) from None

    def status(self, task_id: str, web: Web | None = None) -> TaskStatus:
        __tracebackhide__ = True
        answer = self.ask_status(task_id, web)
        expect(
            "the status of GET /task_status/{task_id}",
            answer.status_code,
            200,
            usually=f"{STATUS_WORDS.get(answer.status_code, 'the view itself answers so')}; "
            f"it answered {answer.text[:200]}",
            look_at=SUBSCRIPTION_VIEWS,
        )
        return dict(answer.json())

    def until_final(self, task_id: str, web: Web | None = None, within: float = 10) -> TaskStatus:
        """Ask over HTTP until the task is done, and return its last status."""
        status: TaskStatus = eventually(
            lambda: self.status(task_id, web),
            lambda status: status["state"] in FINAL,
            "the task ends",
            within=within,
            show=lambda status: f"{status}; {self.in_the_workers_log(task_id)}",
            usually="the worker does not know the task, or does not store results",
            look_at="project/subscriptions/tasks.py",
        )
        return status

    def in_the_workers_log(self, task_id: str) -> str:
        """What the workers' logs say of a task, in words."""
        workers = [process for process in self.processes if process.name == "worker"]
        lines = [line for worker in workers for line in worker.lines if task_id in line]
        for word in ("succeeded", "raised", "received"):
            if any(f" {word}" in line for line in lines):
                return f"the worker's log says that it {word}"
        return "the worker's log does not name it"

    @contextmanager
    def follow(
        self, task_id: str, web: Web | None = None, origin: str | None = None
    ) -> Iterator[Follower]:
        """Open the task's WebSocket as a page of the same origin does."""
        __tracebackhide__ = True
        web = web or self.web
        try:
            connection = connect(
                web.task_socket(task_id),
                origin=Origin(origin or web.origin),
                additional_headers=self.cookie_header,
                close_timeout=2,
            )
        except InvalidStatus as refused:
            raise handshake_refused(refused) from None
        with connection:
            yield Follower(connection)

    def follow_to_the_end(
        self, task_id: str, web: Web | None = None, within: float = 20, *, usually: str = "",
        look_at: str = WS_VIEWS,
    ) -> TaskStatus:  # fmt: skip
        """Follow the task as the page does: when the connection is lost, come back."""
        __tracebackhide__ = True
        deadline = time.monotonic() + within
        while True:
            try:
                with self.follow(task_id, web) as follower:
                    seconds = max(0.1, deadline - time.monotonic())
                    return follower.until_final(seconds, usually=usually, look_at=look_at)
            except (OSError, NotAsExpected):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def handshake_status(self, task_id: str, **options: Any) -> int:
        """Try to open a task's WebSocket: the HTTP status of the answer, 101 if it opens."""
        try:
            with connect(self.web.task_socket(task_id), **options):
                return 101
        except InvalidStatus as refused:
            return refused.response.status_code

    async def open_socket(self, task_id: str, web: Web | None = None) -> AsyncConnection:
        """Open a task's WebSocket as one of many, in a function given to run_async()."""
        __tracebackhide__ = True
        web = web or self.web
        try:
            return await connect_async(
                web.task_socket(task_id),
                origin=Origin(web.origin),
                additional_headers=self.cookie_header,
                open_timeout=30,
            )
        except InvalidStatus as refused:
            raise handshake_refused(refused) from None

    async def stay(
        self, task_id: str, web: Web | None = None, within: float = 40
    ) -> tuple[str | None, int]:
        """Follow the task as the page does, as one of many: when the connection is lost, come back.

        Returns the state that it learned, None if none in time, and how many connections it lost.
        """
        deadline = time.monotonic() + within
        lost = tries = 0
        while time.monotonic() < deadline:
            try:
                async with await self.open_socket(task_id, web) as socket:
                    while True:
                        left = deadline - time.monotonic()
                        status = json.loads(await asyncio.wait_for(socket.recv(), left))
                        tries = 0
                        if status.get("state") in FINAL:
                            return str(status["state"]), lost
            except (OSError, NotAsExpected, WebSocketException):  # a TimeoutError is an OSError
                lost += 1
                await asyncio.sleep(random.uniform(0, min(0.5 * 2**tries, 3)))
                tries += 1
        return None, lost

    # Redis, seen from outside.

    def channels(self) -> set[str]:
        """The channels that have subscribers now."""
        return {str(channel) for channel in self.redis.client.pubsub_channels()}

    def channel_since(self, before: set[str]) -> str:
        """The channel that has come since `before`: the one of the task that is followed now."""
        __tracebackhide__ = True
        new: set[str] = eventually(
            lambda: self.channels() - before,
            lambda channels: len(channels) == 1,
            "one channel is subscribed to for the task that is followed",
            within=3,
            show=lambda channels: ", ".join(sorted(channels)) or "no channel",
            usually="the view does not subscribe, or broadcast is not connected in the lifespan",
            look_at=WS_VIEWS,
        )
        return new.pop()

    @contextmanager
    def watch_redis(self) -> Iterator[Callable[[], list[str]]]:
        """What Redis is asked meanwhile, in order: call what you get at the end."""
        end = f"the end {time.monotonic_ns()}"
        with self.redis.client.monitor() as monitor:  # type: ignore[no-untyped-call]

            def commands() -> list[str]:
                self.redis.client.echo(end)
                seen = (str(said["command"]) for said in monitor.listen())
                return list(itertools.takewhile(lambda command: end not in command, seen))

            yield commands

    @contextmanager
    def watch_lookups(self, task_id: str) -> Iterator[Callable[[], int]]:
        """How often this task is looked up meanwhile: call what you get at the end."""
        with self.watch_redis() as commands:

            def lookups() -> int:
                return sum(is_lookup(command, task_id) for command in commands())

            yield lookups

    def calls(self, command: str) -> int:
        """How often Redis has been asked this command since it was started."""
        stats = self.redis.client.info("commandstats")
        return int(stats.get(f"cmdstat_{command}", {}).get("calls", 0))

    def lookups_in_a_second(self) -> int:
        before = self.calls("get")
        time.sleep(1)
        return self.calls("get") - before

    def expect_lookups_to_stop(
        self, whose: str, *, within: float, usually: str, look_at: str
    ) -> None:
        """Fewer than five GETs in a second reach Redis: no query for those who have left."""
        __tracebackhide__ = True

        eventually(
            self.lookups_in_a_second,
            lambda lookups: lookups < 5,
            f"the queries for {whose} have stopped",
            within=within,
            show=lambda lookups: f"{lookups} queries in a second",
            usually=usually,
            look_at=look_at,
        )


def is_lookup(command: str, task_id: str) -> bool:
    """Does this command of Redis read the task's state?"""
    name, _, keys = command.partition(" ")
    return name.upper() in ("GET", "MGET") and task_id in keys


@contextmanager
def launched(
    folder: Path,
    *names: str,
    settings: dict[str, object] | None = None,
    with_wires: bool = False,
) -> Iterator[RunningProject]:
    """The project's processes (all, or those named) as they start, with a Redis for them.

    With wires, what passes between them passes through a tap: `.tap` of what you get.
    """
    project = RunningProject(folder, settings, with_wires)
    with redis_server() as redis:
        try:
            yield project.launch_all(redis, *names)
        finally:
            project.stop()


@contextmanager
def running(
    folder: Path,
    *names: str,
    settings: dict[str, object] | None = None,
    with_wires: bool = False,
) -> Iterator[RunningProject]:
    """The project's processes (all, or those named), with a Redis for them; ended afterwards."""
    with launched(folder, *names, settings=settings, with_wires=with_wires) as project:
        project.wait_until_ready()
        yield project
