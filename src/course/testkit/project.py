"""The project under test: its processes, and the clients that talk to them."""

import asyncio
import itertools
import json
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx
from websockets.asyncio.client import ClientConnection as AsyncConnection
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from course.processes import (
    HOST,
    Process,
    ProjectProblem,
    Redis,
    answers,
    free_port,
    project_environment,
    read_procfile,
    redis_server,
    wait_for,
)
from course.testkit.expect import NotAsExpected, eventually, expect
from course.testkit.explain import why_it_did_not_start

START_LIMIT = 15.0  # seconds for a process to start on a busy machine
QUICK: dict[str, object] = {"WS_HEARTBEAT_SECONDS": 1}  # what a slow look repairs, soon repaired
FINAL = {"SUCCESS", "FAILURE", "REVOKED"}
STATUS_LIMIT = 6.0  # seconds for an answer that need not wait for anything
WS_VIEWS = "project/ws/views.py"
SUBSCRIPTION_VIEWS = "project/subscriptions/views.py"

TaskStatus = dict[str, Any]
T = TypeVar("T")


def run_async(function: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run the async function in a thread with a loop of its own.

    A browser test leaves a loop running in the main thread: asyncio.run() cannot be used there.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(asyncio.run(function()))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


class DidNotStart(ProjectProblem):
    """A process of the project ended at its start, or was not ready in time."""

    def __init__(self, process: Process, port: int | None, folder: Path) -> None:
        self.reason = why_it_did_not_start(
            process.name, process.exit_code, list(process.lines), folder, port, START_LIMIT
        )
        last = "\n".join(f"    {line}" for line in self.reason.log)
        super().__init__(f"{self.reason}\nIt said last:\n{last}")


@dataclass
class Web:
    """One web process of the project."""

    process: Process
    port: int
    host: str = HOST

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def origin(self) -> str:
        return self.url

    def task_socket(self, task_id: str) -> str:
        return f"ws://{self.host}:{self.port}/ws/task_status/{task_id}"


class SocketClosed(NotAsExpected):
    """The socket was closed where a frame was expected."""


class Follower:
    """A WebSocket client that follows one task, as the page does."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.received: list[TaskStatus] = []

    def next(self, within: float = 10, *, usually: str = "", look_at: str = WS_VIEWS) -> TaskStatus:
        """Receive one task status, within so many seconds."""
        __tracebackhide__ = True
        try:
            text = self.connection.recv(timeout=within)
        except TimeoutError:
            seen = f"nothing; before that {self.states}"
            raise NotAsExpected(f"a frame within {within:g} s", seen, usually, look_at) from None
        except ConnectionClosed as closed:
            raise SocketClosed(
                "a frame with a task status",
                f"the socket was closed with {closed_with(closed)}, after {self.states}",
                "the view returned or raised before it sent; its log has the reason",
                WS_VIEWS,
            ) from None
        try:
            status = json.loads(text)
            if not isinstance(status, dict):
                raise ValueError(status)
        except ValueError:
            raise NotAsExpected(
                "a frame that holds a task status as JSON",
                repr(text),
                "the message was sent as Python prints it, not with json.dumps",
                WS_VIEWS,
            ) from None
        self.received.append(status)
        return status

    @property
    def states(self) -> list[str]:
        return [str(status.get("state")) for status in self.received]

    def until_final(
        self, within: float = 10, *, usually: str = "", look_at: str = WS_VIEWS
    ) -> TaskStatus:
        """Receive until the task is done, and return its last status."""
        __tracebackhide__ = True
        while True:
            status = self.next(within, usually=usually, look_at=look_at)
            if status.get("state") in FINAL:
                return status

    def close_code(self, within: float = 5) -> int | None:
        """Wait for the server to close, and return its close code. Reads what is left."""
        __tracebackhide__ = True
        try:
            while True:
                self.received.append(json.loads(self.connection.recv(timeout=within)))
        except ConnectionClosed as closed:
            return closed_with(closed)
        except TimeoutError:
            raise NotAsExpected(
                f"the server closes the socket within {within:g} s",
                f"it is still open, after {self.states}",
                "the view goes on waiting after it has sent the final state",
                WS_VIEWS,
            ) from None


def closed_with(closed: ConnectionClosed) -> int | None:
    return closed.rcvd.code if closed.rcvd else 1006


def handshake_refused(refused: InvalidStatus) -> NotAsExpected:
    return NotAsExpected(
        "the WebSocket handshake is accepted",
        f"HTTP {refused.response.status_code}",
        "there is no WebSocket at that path (the server says 403 to that, too), "
        "or the Origin check refuses the page's own origin",
        WS_VIEWS,
    )


class RunningProject:
    """Redis, newsletter service, worker and web process of one project, on free ports."""

    def __init__(self, folder: Path, settings: dict[str, object] | None = None) -> None:
        self.folder = folder
        self.settings = QUICK if settings is None else settings
        self.processes: list[Process] = []
        self.ports: dict[Process, int] = {}  # where each was told to listen
        self.webs: list[Web] = []
        self.spare: Web | None = None
        self.special_webs: list[tuple[Web, dict[str, str]]] = []
        self.http = httpx.Client(timeout=15)

    def start(self, redis: Redis, names: tuple[str, ...] = ("newsletter", "worker", "web")) -> Self:
        """Start the named processes and wait until they are ready. Raises ProjectProblem."""
        self.redis = redis
        self.newsletter_port = free_port()
        commands = read_procfile(self.folder)
        if "newsletter" in names:
            self.newsletter = self.launch("newsletter", commands["newsletter"])
            self.ports[self.newsletter] = self.newsletter_port
        if "worker" in names:
            self.worker = self.launch_worker()
        if "web" in names:
            self.webs.append(self.launch_web())
        if "newsletter" in names:
            url = f"http://{HOST}:{self.newsletter_port}/"
            self.wait_ready(self.newsletter, lambda: answers(url))
        if "web" in names:
            self.wait_ready(self.web.process, lambda: answers(self.url))
        if "worker" in names:
            self.wait_ready(self.worker, self.worker_is_ready)
        return self

    def worker_is_ready(self) -> bool:
        return any(line.endswith(" ready.") for line in self.worker.lines)

    def launch(self, name: str, command: str, **settings: object) -> Process:
        ours = {
            "REDIS_URL": self.redis.url,
            "NEWSLETTER_PORT": self.newsletter_port,
            "NEWSLETTER_URL": f"http://{HOST}:{self.newsletter_port}",
        }
        env = project_environment(**ours | self.settings | settings)
        process = Process(name, command, self.folder, env)
        self.processes.append(process)
        return process

    def launch_web(self, port: int | None = None, **settings: object) -> Web:
        port = port or free_port()
        command = read_procfile(self.folder)["web"]
        web = Web(self.launch("web", command, WEB_PORT=port, **settings), port)
        self.ports[web.process] = port
        return web

    def launch_worker(self, more: str = "", **settings: object) -> Process:
        """Start a worker; `more` are options that come after the Procfile's."""
        command = read_procfile(self.folder)["worker"]
        if command.startswith("celery "):
            more += " --without-mingle"  # a second less: it need not look for other workers
        return self.launch("worker", f"{command} {more}", **settings)

    def start_web(self, port: int | None = None, **settings: object) -> Web:
        """Start one more web process and wait for it. Settings are environment variables."""
        web = self.launch_web(port, **settings)
        self.wait_ready(web.process, lambda: answers(web.url))
        self.webs.append(web)
        return web

    def another_web(self) -> Web:
        """A second web process: one that an earlier test has left running, or a fresh one."""
        special = [web for web, _ in self.special_webs]
        others = [web for web in self.webs[1:] if web not in special]
        running = [web for web in others if web.process.exit_code is None]
        if running:
            return running[0]
        web, self.spare = self.spare or self.launch_web(), None
        self.wait_ready(web.process, lambda: answers(web.url))
        self.webs.append(web)
        return web

    def end_web(self, web: Web) -> int | None:
        """End a web process with SIGTERM, and have another one ready for the next test."""
        code = self.end(web.process)
        self.spare = self.spare or self.launch_web()  # a start takes a second
        return code

    def web_with(self, **settings: str) -> Web:
        """A web process with these settings: one that an earlier test has started, or a new one."""
        for web, given in self.special_webs:
            if given == settings and web.process.exit_code is None:
                return web
        web = self.start_web(None, **settings)
        self.special_webs.append((web, settings))
        return web

    def end(self, process: Process) -> int | None:
        """SIGTERM, and return the exit code; None if the process is still there 10 s later."""
        process.signal(signal.SIGTERM)
        code = process.wait(10)
        process.kill()
        return code

    def wait_ready(self, process: Process, is_ready: Callable[[], bool]) -> None:
        port = self.ports.get(process)

        def listens_elsewhere() -> bool:
            found = [line for line in process.lines if "running on http://" in line]
            return bool(port and found and f":{port}" not in found[-1])

        wait_for(
            lambda: is_ready() or process.exit_code is not None or listens_elsewhere(), START_LIMIT
        )
        if process.exit_code is None and is_ready():
            return
        process.wait(1 if process.exit_code is not None else 0)
        raise DidNotStart(process, port, self.folder)

    def stop(self) -> None:
        self.http.close()
        for process in self.processes:
            process.signal(signal.SIGKILL)
        for process in self.processes:
            process.kill()

    # The clients. Each takes the first web process unless another is named.

    @property
    def web(self) -> Web:
        return self.webs[0]

    @property
    def url(self) -> str:
        return self.web.url

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
            usually=f"the view failed; it answered {answer.text[:200]}",
            look_at=SUBSCRIPTION_VIEWS,
        )
        return str(answer.json()["task_id"])

    def status(self, task_id: str, web: Web | None = None) -> TaskStatus:
        __tracebackhide__ = True
        url = f"{(web or self.web).url}/task_status/{task_id}"
        try:
            answer = self.http.get(url, timeout=STATUS_LIMIT)
        except httpx.ReadTimeout:
            raise NotAsExpected(
                f"an answer to GET /task_status/{{task_id}} within {STATUS_LIMIT:g} s",
                "none",
                "the view waits although nobody asked it to, or something blocks the web process",
                SUBSCRIPTION_VIEWS,
            ) from None
        expect(
            "the status of GET /task_status/{task_id}",
            answer.status_code,
            200,
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
            usually="the worker does not know the task, or does not store results",
            look_at="project/subscriptions/tasks.py",
        )
        return status

    @contextmanager
    def follow(
        self, task_id: str, web: Web | None = None, origin: str | None = None
    ) -> Iterator[Follower]:
        """Open the task's WebSocket as a page of the same origin does."""
        __tracebackhide__ = True
        web = web or self.web
        try:
            connection = connect(
                web.task_socket(task_id), origin=Origin(origin or web.origin), close_timeout=2
            )
        except InvalidStatus as refused:
            raise handshake_refused(refused) from None
        with connection:
            yield Follower(connection)

    def follow_to_the_end(
        self, task_id: str, web: Web | None = None, within: float = 20
    ) -> TaskStatus:
        """Follow the task as the page does: when the connection is lost, come back."""
        __tracebackhide__ = True
        deadline = time.monotonic() + within
        while True:
            try:
                with self.follow(task_id, web) as follower:
                    return follower.until_final(max(0.1, deadline - time.monotonic()))
            except (OSError, NotAsExpected):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def refusal(self, task_id: str, **options: Any) -> int | None:
        """Try to open a task's WebSocket: the HTTP status of the refusal, or None if it opens."""
        try:
            with connect(self.web.task_socket(task_id), **options):
                return None
        except InvalidStatus as refused:
            return refused.response.status_code

    async def open_socket(self, task_id: str, web: Web | None = None) -> AsyncConnection:
        """Open a task's WebSocket as one of many, in a function given to run_async()."""
        __tracebackhide__ = True
        web = web or self.web
        try:
            return await connect_async(
                web.task_socket(task_id), origin=Origin(web.origin), open_timeout=30
            )
        except InvalidStatus as refused:
            raise handshake_refused(refused) from None

    # Redis, seen from outside.

    def channels(self) -> set[str]:
        """The channels somebody subscribes to now."""
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

    def calls(self, command: str) -> int:
        """How often Redis has been asked this command since it was started."""
        stats = self.redis.client.info("commandstats")
        return int(stats.get(f"cmdstat_{command}", {}).get("calls", 0))


@contextmanager
def running(
    folder: Path, *names: str, settings: dict[str, object] | None = None
) -> Iterator[RunningProject]:
    """The project's processes (all, or those named), with a Redis for them; ended afterwards."""
    project = RunningProject(folder, settings)
    with redis_server() as redis:
        try:
            yield project.start(redis, names) if names else project.start(redis)
        finally:
            project.stop()
