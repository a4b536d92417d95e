"""Ends what a command has started when the command itself is killed, by SIGKILL or by a crash.

A process cannot catch SIGKILL, and the system does not end its children with it. So a second
process, the guard, is started first, in a session of its own. It reads from a pipe whose other end
the command alone holds: when the command ends, in whatever way, the pipe ends. The guard then ends
the process groups that it was told of, and removes the folders.

This file is also the guard's program: it needs the standard library alone, and starts in 20 ms.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

GUARD_GRACE = 3.0  # seconds between SIGTERM and SIGKILL


class Guard:
    """To be entered before anything is started, and left when all has been ended."""

    def __enter__(self) -> Self:
        self._popen = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        return self

    def __exit__(self, *error: object) -> None:
        assert self._popen.stdin
        self._tell(done=True)
        with suppress(OSError):
            self._popen.stdin.close()
        self._popen.wait()

    def group(self, pid: int) -> None:
        """A process group that was started."""
        self._tell(group=pid)

    def ended(self, pid: int) -> None:
        """A process group that has been ended: its number may soon be another program's."""
        self._tell(ended=pid)

    def folder(self, path: str | Path) -> None:
        """A temporary folder."""
        self._tell(folder=str(path))

    def _tell(self, **message: object) -> None:
        assert self._popen.stdin
        with suppress(OSError):  # somebody has ended the guard: the run goes on without one
            self._popen.stdin.write(json.dumps(message).encode() + b"\n")
            self._popen.stdin.flush()


def stand_guard() -> None:
    """The guard's own process."""
    groups: set[int] = set()
    folders: list[str] = []
    for line in sys.stdin:
        message = json.loads(line)
        if "group" in message:
            groups.add(message["group"])
        elif "ended" in message:
            groups.discard(message["ended"])
        elif "folder" in message:
            folders.append(message["folder"])
        elif "done" in message:
            return
    # Their own processes first: see process.py.
    for pid in groups:
        with suppress(OSError):
            os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + GUARD_GRACE
    while any(map(is_there, groups)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in groups:
        with suppress(OSError):
            os.killpg(pid, signal.SIGKILL)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def is_there(group: int) -> bool:
    with suppress(OSError):
        os.killpg(group, 0)
        return True
    return False


if __name__ == "__main__":
    stand_guard()
