"""The processes of the project under test: started on free ports, awaited, ended."""

import itertools
import signal
import time
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
    worker_is_ready,
)
from course.processes.tree import cpu_seconds
from course.testkit.explain import why_it_did_not_start
from course.testkit.scripts import Script
from course.wires import Tap

MOST_OUTPUT = 100_000_000  # characters that a process may write
START_LIMIT = 15.0  # seconds for a process to start
LONGEST_START = 40.0  # for one that still computes: the machine is busy
QUICK: dict[str, object] = {"WS_FALLBACK_POLL_SECONDS": 1}  # what a poll repairs, soon repaired


class Computing:
    """Whether a process uses the processor, or only waits."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.seen_at, self.seconds, self.used = time.monotonic(), 0.0, True

    def lately(self) -> bool:
        """Did it compute in the last seconds?"""
        if time.monotonic() > self.seen_at + 2:
            before, self.seconds = self.seconds, cpu_seconds(self.process.pid)
            self.used, self.seen_at = self.seconds > before + 0.05, time.monotonic()
        return self.used


class DidNotStart(ProjectProblem):
    """A process of the project ended at its start, or was not ready in time."""

    def __init__(self, process: Process, port: int | None, folder: Path) -> None:
        self.reason = why_it_did_not_start(
            process.name, process.exit_code, process.lines, folder, port, START_LIMIT
        )
        said = [line for complaint in self.reason.complaints for line in complaint.lines]
        last = "\n".join(f"    {line}" for line in said[-12:])
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

    def __init__(
        self, folder: Path, settings: dict[str, object] | None = None, with_wires: bool = False
    ) -> None:
        self.folder = folder
        self.with_wires = with_wires
        self.tap: Tap | None = None  # what passes between the processes, if it is watched
        self.names: dict[Process, str] = {}  # "web", "web 2": as the wires call them
        self.behind: dict[int, int] = {}  # where a web process listens, by its port for clients
        self.settings = QUICK if settings is None else settings
        self.processes: list[Process] = []
        self.ports: dict[Process, int] = {}  # where each was told to listen
        self.webs: list[Web] = []
        self.spare: Web | None = None
        self.special_webs: list[tuple[Web, dict[str, str]]] = []
        self.scripts: list[Script] = []  # that were run
        self.answers: list[str] = []  # the HTTP answers that were errors, a line each
        # A connection for each request: uvicorn closes the one on which a view has raised.
        self.http = httpx.Client(
            timeout=15,
            limits=httpx.Limits(max_keepalive_connections=0),
            event_hooks={"response": [self.note_answer]},
        )

    def launch_all(self, redis: Redis, *names: str) -> Self:
        """Start the named processes, or all. They are not ready yet. Raises ProjectProblem."""
        self.redis = redis
        self.newsletter_port = free_port()
        if self.with_wires:
            self.tap = Tap(redis.url, f"http://{HOST}:{self.newsletter_port}").__enter__()
        commands = read_procfile(self.folder)
        names = names or ("newsletter", "worker", "web")
        # The worker needs longest, and goes first.
        if "worker" in names:
            self.worker = self.launch_worker()
        if "web" in names:
            self.webs.append(self.launch_web())
        if "newsletter" in names:
            self.newsletter = self.launch("newsletter", commands["newsletter"])
            self.ports[self.newsletter] = self.newsletter_port
        return self

    def wait_until_ready(self) -> None:
        """Wait for what launch_all() has started. Raises DidNotStart."""
        self.wait_for_all({process: self.sign_of(process) for process in self.processes})

    def sign_of(self, process: Process) -> Callable[[], bool]:
        """How to see that it is ready."""
        if process.name == "worker":
            return lambda: worker_is_ready(process)
        behind_wires = {web.process: web.port for web in self.webs}
        url = f"http://{HOST}:{behind_wires.get(process, self.ports[process])}/"
        return lambda: answers(url)

    def wait_worker(self, worker: Process) -> None:
        self.wait_ready(worker, lambda: worker_is_ready(worker))

    def note_answer(self, answer: httpx.Response) -> None:
        if answer.is_error:
            answer.read()
            request = answer.request
            self.answers.append(
                f"{request.method} {request.url.path} {answer.status_code}: {answer.text[:300]}"
            )

    def launch(self, name: str, command: str, **settings: object) -> Process:
        own_name = self.unused_name(name)
        env = self.environment(**self.wires_of(own_name) | settings)
        process = Process(name, command, self.folder, env, most_output=MOST_OUTPUT)
        self.processes.append(process)
        self.names[process] = own_name
        return process

    def unused_name(self, name: str) -> str:
        """The name, or "web 2" if a process of that name runs."""
        running = {own for process, own in self.names.items() if process.exit_code is None}
        numbered = (f"{name} {number}" for number in itertools.count(2))
        return next(own for own in itertools.chain([name], numbered) if own not in running)

    def wires_of(self, name: str) -> dict[str, object]:
        """Where this process reaches the others through the tap, if there is one."""
        if not self.tap or name.startswith("newsletter"):
            return {}
        own = {
            "REDIS_URL": self.tap.redis_url_for(name),
            "NEWSLETTER_URL": self.tap.newsletter_url_for(name),
        }
        return {key: url for key, url in own.items() if key not in self.settings}

    def environment(self, **settings: object) -> dict[str, str]:
        ours: dict[str, object] = {
            "REDIS_URL": self.redis.url,
            "NEWSLETTER_PORT": self.newsletter_port,
            "NEWSLETTER_URL": f"http://{HOST}:{self.newsletter_port}",
            # Python shows a warning of one line of code once. A later test needs it, too.
            "PYTHONWARNINGS": "always::RuntimeWarning",
        }
        if self.redis.folder:  # goes with the project; a worker that is killed leaves folders there
            temporary = Path(self.redis.folder) / "temporary"
            temporary.mkdir(exist_ok=True)
            ours["TMPDIR"] = temporary
        return project_environment(**ours | self.settings | settings)

    def launch_web(self, port: int | None = None, **settings: object) -> Web:
        command = read_procfile(self.folder)["web"]
        listens_at = self.behind.get(port or 0) or (free_port() if self.tap else port)
        listens_at = listens_at or free_port()
        process = self.launch("web", command, WEB_PORT=listens_at, **settings)
        self.ports[process] = listens_at
        if self.tap:
            port = self.tap.web_port_for(listens_at, self.names[process], port or 0)
            self.behind[port] = listens_at
        return Web(process, port or listens_at)

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
        """SIGTERM, and return the exit code; None if the process is still there 10 s later.

        Its children are left to it: a worker finishes what its pool processes do.
        """
        process.terminate()
        code = process.wait(10)
        process.kill()
        return code

    def wait_ready(self, process: Process, is_ready: Callable[[], bool]) -> None:
        self.wait_for_all({process: is_ready})

    def wait_for_all(self, signs: dict[Process, Callable[[], bool]]) -> None:
        """Wait until each is ready. Raises DidNotStart for the first that ends, or is too late."""
        started, computing = time.monotonic(), {process: Computing(process) for process in signs}
        while signs:
            for process, is_ready in list(signs.items()):
                if process.exit_code is None and is_ready():
                    del signs[process]
                    continue
                waited = time.monotonic() - started
                is_late = waited > LONGEST_START or (
                    waited > START_LIMIT and not computing[process].lately()
                )
                if process.exit_code is not None or is_late or self.listens_elsewhere(process):
                    process.wait(1 if process.exit_code is not None else 0)
                    raise DidNotStart(process, self.ports.get(process), self.folder)
            time.sleep(0.03 if signs else 0)

    def listens_elsewhere(self, process: Process) -> bool:
        port = self.ports.get(process)
        found = [line for line in process.lines if "running on http://" in line]
        return bool(port and found and f":{port}" not in found[-1])

    def stop(self) -> None:
        self.http.close()
        for process in self.processes:
            process.signal(signal.SIGKILL)
        for process in self.processes:
            process.kill()
        if self.tap:
            self.tap.__exit__(None, None, None)

    @property
    def web(self) -> Web:
        """The first web process: the one that clients take unless another is named."""
        return self.webs[0]

    @property
    def url(self) -> str:
        return self.web.url
