"""What is measured, running: one Redis, one newsletter service, and web and worker of each app.

Every app has a database of its own on the one Redis, so that no worker takes another app's tasks.
(Pub/sub knows no databases; there the task's id keeps them apart.)
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import redis

from course.content.chapters import Chapter, find_chapter
from course.processes import (
    HOST,
    Process,
    ProjectProblem,
    Redis,
    RedisProblem,
    answers,
    free_port,
    project_environment,
    read_procfile,
    redis_server,
    stop_all,
    wait_for,
    worker_is_ready,
)

# What is measured from inside a worker, and the servers by hand.
INSIDE = Path(__file__).parent / "inside"
START_LIMIT = 120.0  # seconds: two dozen processes start at the same time
# Many threads, so that a task never waits for a place: what is measured is what comes after.
WORKER_OPTIONS = (
    "--pool threads --concurrency 100 --without-mingle --without-gossip --without-heartbeat"
)
# One client address plays all clients; and a load is not an attack.
LIMITS = {
    "WS_MOST_PER_CLIENT": 1_000_000,
    "WS_MOST_PER_TASK": 1_000_000,
    "TASKS_PER_MINUTE": 1_000_000,
}
# The servers by hand: each one's name, and where its app is.
PEERS = {
    "floor": ("redis-py by hand", "forwarder:app"),
    "ceiling": ("polling by hand", "forwarder:app"),
    "sse": ("SSE by hand", "sse:app"),
    "socketio": ("python-socketio", "socketio_server:app"),
}
# Their web process: chapter 6's options, without what is its own.
WEB = (
    "uvicorn {} --host 127.0.0.1 --port ${{WEB_PORT:-8010}} --ws websockets-sansio "
    "--ws-max-size 1024 --ws-per-message-deflate false --timeout-graceful-shutdown 3"
)
IDLE_QUEUE = "bench-idle"  # tasks in it wait indefinitely: no worker consumes it
DATABASES = 16  # as Redis has them unless it is told otherwise
KEYS = (
    "celery-task-meta-*", "_kombu.*", "celery", "unacked*", "*.reply.celery.pidbox",
    IDLE_QUEUE, "newsletter:*",
)  # fmt: skip


@dataclass
class App:
    """A chapter, or a server by hand, with its processes and its database."""

    key: str  # "01" to "06", or one of PEERS
    name: str
    folder: Path
    commands: dict[str, str]
    settings: dict[str, object] = field(default_factory=dict)
    worker_options: str = WORKER_OPTIONS
    needs_newsletter: bool = True
    web_comes_later: bool = False  # with fresh_web()
    database: int = 0
    redis_url: str = ""
    port: int = 0
    web: Process = field(init=False)
    worker: Process = field(init=False)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"


def chapter_app(number: str, **settings: object) -> App:
    """Raises UnknownChapter or ProjectProblem."""
    chapter: Chapter = find_chapter(number)
    commands = read_procfile(chapter.folder)
    return App(chapter.number, str(chapter), chapter.folder, commands, LIMITS | settings)


def peer_app(key: str) -> App:
    """A server by hand beside the chapters: a key of PEERS."""
    name, module = PEERS[key]
    worker = "celery --app peer_worker worker --loglevel info"
    commands = {"web": WEB.format(module), "worker": worker}
    return App(key, name, INSIDE, commands, {"PEER": key})


def layer_app(key: str, name: str) -> App:
    """A socket that only waits: on uvicorn alone ("asgi"), on Starlette or on FastAPI ("app")."""
    return App(key, name, INSIDE, {"web": WEB.format(f"layers:{key}")})


class Stage:
    """The processes that run for a measurement; `close()` ends them all."""

    def __init__(self, server: Redis) -> None:
        self.server = server
        self.processes: list[Process] = []
        self.newsletter_port = free_port()
        self._databases = iter(range(1, DATABASES))
        self._used: list[redis.Redis] = []

    def start(self, apps: list[App]) -> None:
        """Start all, and return when all are ready. Raises ProjectProblem, RedisProblem."""
        waits: list[Callable[[], None]] = []
        if any(app.needs_newsletter for app in apps):
            waits.append(self.launch_newsletter())
        for app in apps:
            self.assign_database(app)
            if "worker" in app.commands:
                self.launch_worker(app)
                waits.append(partial(self.wait_worker, app))
            if "web" in app.commands and not app.web_comes_later:
                self.launch_web(app)
                waits.append(partial(self.wait_web, app))
        for wait in waits:
            wait()

    def launch_newsletter(self) -> Callable[[], None]:
        folder = find_chapter("05").folder
        newsletter = self.launch("newsletter", read_procfile(folder)["newsletter"], folder, {})
        url = f"http://{HOST}:{self.newsletter_port}/"
        return lambda: self.wait_ready(newsletter, lambda: answers(url))

    def assign_database(self, app: App) -> None:
        """Give the app the next database that is empty. Raises RedisProblem if there is none."""
        parts = urlsplit(self.server.url)
        for number in self._databases:
            url = urlunsplit(parts._replace(path=f"/{number}"))
            client: redis.Redis = redis.Redis.from_url(url, socket_timeout=5)
            try:
                is_empty = client.dbsize() == 0
            except redis.RedisError as error:
                raise RedisProblem(f"The Redis has no database {number} for us: {error}") from error
            if is_empty:
                self._used.append(client)
                app.database, app.redis_url = number, url
                return
            client.close()
        raise RedisProblem("The Redis at REDIS_URL has no empty database left for the bench.")

    def launch_web(self, app: App, **settings: object) -> Process:
        app.port = free_port()
        settings = self.environment(app, WEB_PORT=app.port, **settings)
        app.web = self.launch("web", app.commands["web"], app.folder, settings)
        return app.web

    def launch_worker(self, app: App) -> Process:
        command = f"{app.commands['worker']} {app.worker_options} --include publishing"
        app.worker = self.launch(
            "worker", command, app.folder, self.environment(app, PYTHONPATH=INSIDE)
        )
        return app.worker

    def environment(self, app: App, **more: object) -> dict[str, object]:
        return {"REDIS_URL": app.redis_url} | app.settings | more

    def launch(self, name: str, command: str, folder: Path, settings: dict[str, object]) -> Process:
        ours: dict[str, object] = {
            "NEWSLETTER_PORT": self.newsletter_port,
            "NEWSLETTER_URL": f"http://{HOST}:{self.newsletter_port}",
        }
        process = Process(name, command, folder, project_environment(**ours | settings))
        self.processes.append(process)
        return process

    def wait_web(self, app: App) -> None:
        self.wait_ready(app.web, lambda: answers(app.url))

    def wait_worker(self, app: App) -> None:
        self.wait_ready(app.worker, lambda: worker_is_ready(app.worker))

    def wait_ready(self, process: Process, is_ready: Callable[[], bool]) -> None:
        wait_for(lambda: is_ready() or process.exit_code is not None, START_LIMIT)
        if process.exit_code is not None or not is_ready():
            process.wait(0.5)
            last = "\n".join(f"    {line}" for line in process.lines[-12:])
            raise ProjectProblem(f"A {process.name} process did not start. It said last:\n{last}")

    def fresh_web(self, app: App, **settings: object) -> None:
        """A web process that has not served yet: one that has, has memory to reuse."""
        if app.port and app.web in self.processes:
            self.end(app.web)
        self.launch_web(app, **settings)
        self.wait_web(app)

    def end(self, process: Process) -> None:
        process.stop()
        self.processes.remove(process)

    def close(self) -> None:
        stop_all(self.processes)
        for client in self._used:
            if not self.server.is_ours:  # the database was empty: what lies there now is ours
                for pattern in KEYS:
                    for key in client.scan_iter(pattern):
                        client.delete(key)
            client.close()


@contextmanager
def running_apps(apps: list[App]) -> Iterator[Stage]:
    """Raises RedisProblem or ProjectProblem if something does not start; ends all that did."""
    with redis_server() as server:
        stage = Stage(server)
        try:
            stage.start(apps)
            yield stage
        finally:
            stage.close()
