"""The processes of the project under test: started on free ports, awaited, ended."""

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx

from course.processes import (
    HOST,
    Process,
    ProjectProblem,
    Redis,
    answers,
    free_port,
    project_environment,
    read_procfile,
    wait_for,
    worker_is_ready,
)
from course.testkit.explain import why_it_did_not_start

START_LIMIT = 15.0  # seconds for a process to start on a busy machine
QUICK: dict[str, object] = {"WS_FALLBACK_POLL_SECONDS": 1}  # what a poll repairs, soon repaired


class DidNotStart(ProjectProblem):
    """A process of the project ended at its start, or was not ready in time."""

    def __init__(self, process: Process, port: int | None, folder: Path) -> None:
        self.reason = why_it_did_not_start(
            process.name, process.exit_code, process.lines, folder, port, START_LIMIT
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


class LaunchedProject:
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
            self.wait_worker(self.worker)
        return self

    def wait_worker(self, worker: Process) -> None:
        self.wait_ready(worker, lambda: worker_is_ready(worker))

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

    @property
    def web(self) -> Web:
        """The first web process: the one that clients take unless another is named."""
        return self.webs[0]

    @property
    def url(self) -> str:
        return self.web.url
