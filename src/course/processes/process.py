"""A project's process: started in a process group of its own, heard, signalled and ended."""

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

KEPT_LINES = 400  # of a process's output
GRACE = 5.0  # seconds between SIGTERM and SIGKILL


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


def worker_is_ready(worker: Process) -> bool:
    """Celery's worker says so in its log."""
    return any(line.endswith(" ready.") for line in worker.lines)
