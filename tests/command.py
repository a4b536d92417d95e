"""The one way in which the tests run ./course: to its end, or beside a test."""

import os
import subprocess
import sys

from course.content.chapters import ROOT
from course.processes import Process

COURSE = [sys.executable, "-m", "course"]


def environment(**more: str) -> dict[str, str]:
    """This process's, with a Redis of the command's own unless `more` names one."""
    return {name: value for name, value in os.environ.items() if name != "REDIS_URL"} | more


def course(*arguments: object, limit: float = 100, **env: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end, for `limit` seconds at most, with more environment variables."""
    command = [*COURSE, *map(str, arguments)]
    return subprocess.run(
        command,
        cwd=ROOT,
        env=environment(**env),
        capture_output=True,
        text=True,
        timeout=limit,
        check=False,
    )


def start_course(*arguments: object, **env: str) -> Process:
    """Start it, to be stopped by the caller; what it prints is in `lines`."""
    command = " ".join([*COURSE, *map(str, arguments)])
    return Process("course", command, ROOT, environment(PYTHONUNBUFFERED="1", **env))
