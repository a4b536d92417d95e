"""A project's process: started in a process group of its own, read, signalled and ended.

It is ended as systemd's `KillMode=mixed` does it: its own process first, which ends its children as
it sees fit, and what is left of the group after a grace. A Celery worker whose pool processes are
sent SIGTERM beside it loses the tasks that run; alone, it finishes them.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from course.processes.waiting import wait_for

KEPT_LINES = 400  # of a process's output
LONGEST_LINE = 8_192  # characters; what comes without a newline is cut into lines of that length
GRACE = 5.0  # seconds between SIGTERM and SIGKILL
GROUP_GRACE = 1.0  # seconds for what is left of the group when its leader has ended


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
        most_output: int | None = None,
    ) -> None:
        """`most_output` limits the characters that it may write, all in all, before it is ended."""
        self.name = name
        self._most_output = most_output
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self.said = 0  # lines up to now, of which the last are kept
        self.was_signalled = False  # by us: it did not end by itself
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
        written = 0
        with self._popen.stdout as output:
            while line := output.readline(LONGEST_LINE):
                written += len(line)
                is_flood = self._most_output is not None and written > self._most_output
                if is_flood:
                    self.signal(signal.SIGKILL)
                    self.was_signalled = False  # its own doing
                    line = f"Error: the course ended this process: it wrote {written:,} characters."
                self._lines.append(line.rstrip("\n"))
                self.said += 1
                if on_line:
                    on_line(self.name, line.rstrip("\n"))
                if is_flood:
                    break

    @property
    def lines(self) -> list[str]:
        """Its last lines, as they are now: it goes on speaking while they are read."""
        return list(self._lines)

    def lines_from(self, start: int, end: int | None = None) -> list[str]:
        """Of all lines that it has said, those from the number `start` on, if they are kept."""
        kept, said = self.lines, self.said
        first = said - len(kept)
        return kept[max(0, start - first) : None if end is None else max(0, end - first)]

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
        """Send a signal to its whole process group."""
        self.was_signalled = True
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM to the process itself, not to its children."""
        self.was_signalled = True
        self._popen.terminate()

    def stop(self) -> None:
        """End it and its children: SIGTERM, and SIGKILL for what is still there after GRACE."""
        stop_all([self])

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.wait(GRACE)

    def _end_group(self) -> None:
        """End what its own process has left behind, as a shell does with its commands."""
        self.signal(signal.SIGTERM)
        wait_for(lambda: not self._has_group(), GROUP_GRACE)
        self.kill()

    def _has_group(self) -> bool:
        try:
            os.killpg(self.pid, 0)
        except PermissionError:  # so macOS says it of a group of zombies
            return False
        except ProcessLookupError:
            return False
        return True


def stop_all(processes: list[Process]) -> None:
    """Ask all to end at the same time, wait for each, and end what is left of their groups."""
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + GRACE
    for process in processes:
        process.wait(max(0, deadline - time.monotonic()))
    for process in processes:
        process._end_group()


def worker_is_ready(worker: Process) -> bool:
    """Celery's worker says so in its log."""
    return any(line.endswith(" ready.") for line in worker.lines)
