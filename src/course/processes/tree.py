"""All processes that a check has started, whatever they have done to get away.

Each inherits a mark in its environment, by which it is found, whichever process group or session
it has made for itself. What has wiped its environment is found by the folder it works in, or as a
child of one that was found.
"""

import os
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import psutil

from course.processes.guard import Guard

MARK = "COURSE_CHECK"
# A check has a Redis and settings of its own: those of the terminal do not reach it.
NOT_INHERITED = {
    "REDIS_URL",
    "CELERY_BROKER_URL",
    "CELERY_RESULT_BACKEND",
    "WS_MESSAGE_QUEUE",
    "NEWSLETTER_URL",
    "NEWSLETTER_DEADLINE_SECONDS",
    "ALLOWED_ORIGINS",
    "ALLOWED_HOSTS",
    "WS_FALLBACK_POLL_SECONDS",
    "WS_DEADLINE_SECONDS",
    "WS_MOST_PER_CLIENT",
    "WS_MOST_PER_TASK",
    "CELERY_VISIBILITY_TIMEOUT",
    "COURSE_REQUIRE_BROWSER",
}
ENDING = 5.0  # seconds


class ProcessTree:
    """Starts processes under a mark, in a temporary folder that goes with them."""

    def __init__(self) -> None:
        self.mark = uuid.uuid4().hex
        self.folder = Path(tempfile.mkdtemp(prefix="course-check-")).resolve()
        self.guard = Guard()  # for the case that this process is killed
        self.children: list[subprocess.Popen[bytes]] = []
        self.is_over = False

    def __enter__(self) -> Self:
        self.guard.__enter__()
        self.guard.folder(self.folder)
        return self

    def __exit__(self, *error: object) -> None:
        self.end()
        for child in self.children:
            with suppress(subprocess.TimeoutExpired):
                child.wait(ENDING)
        # Not shutil: a project's folders may be read-only, and more of them than it can go down.
        for command in (["chmod", "-R", "u+rwX"], ["rm", "-rf"]):
            subprocess.run([*command, str(self.folder)], stderr=subprocess.DEVNULL, check=False)
        self.guard.__exit__(*error)

    def launch(self, command: list[str], name: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start a command. `name` is a part of its mark: end(name) ends it and its children."""
        env = {
            key: value
            for key, value in os.environ.items()
            if key not in NOT_INHERITED and not key.startswith("PYTEST")
        }
        env |= {MARK: f"{self.mark}-{name}", "TMPDIR": str(self.folder)}
        child = subprocess.Popen(
            command, env=env, stdin=subprocess.DEVNULL, start_new_session=True, **options
        )
        self.children.append(child)
        self.guard.group(child.pid)
        if self.is_over:
            self.end()
        return child

    def members(self, name: str = "") -> list[psutil.Process]:
        """Who is alive of those whose mark begins so, and their children. Without name: of all."""
        return processes_with(MARK, f"{self.mark}-{name}", None if name else self.folder)

    def end_for_good(self) -> None:
        """End them, and at once whatever another thread starts after that."""
        self.is_over = True
        self.end()

    def end(self, name: str = "") -> None:
        end_all(lambda: self.members(name))


def processes_with(variable: str, value: str, folder: Path | None = None) -> list[psutil.Process]:
    """The processes whose environment has this variable, beginning with `value`; their children.

    With a folder also those that work in it: a process can wipe its environment. Never this one.
    """
    found = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            is_ours = process.environ().get(variable, "").startswith(value) or (
                folder is not None and process.cwd().startswith(f"{folder}{os.sep}")
            )
            if is_ours and is_alive(process):
                found[process.pid] = process
    for process in list(found.values()):
        with suppress(psutil.Error):
            found |= {child.pid: child for child in process.children(recursive=True)}
    found.pop(os.getpid(), None)
    return list(found.values())


def end_all(members: Callable[[], list[psutil.Process]]) -> None:
    """Kill them. All are stopped first, so that none can start another meanwhile."""
    deadline = time.monotonic() + ENDING
    while (alive := members()) and time.monotonic() < deadline:
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for process in alive:
                with suppress(psutil.Error):
                    process.send_signal(number)
        psutil.wait_procs(alive, timeout=0.2)


def is_alive(process: psutil.Process) -> bool:
    """Does it run? One that has ended, and that nobody has asked how, does not."""
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def relatives(pid: int) -> list[psutil.Process]:
    """Its children, and theirs."""
    return psutil.Process(pid).children(recursive=True)


def commands_of(members: list[psutil.Process]) -> str:
    """The command of each, a line each; of those that have just ended, none."""
    found = []
    for member in members:
        with suppress(psutil.Error):
            found.append(" ".join(member.cmdline()))
    return "\n".join(found)


def cpu_seconds(pid: int) -> float:
    """What a process and its children have computed."""
    total = 0.0
    with suppress(psutil.Error):
        for process in (psutil.Process(pid), *relatives(pid)):
            with suppress(psutil.Error):
                times = process.cpu_times()
                total += times.user + times.system
    return total
