"""What `./course docs` does: MkDocs, and the pictures of the chapters' pages for the site."""

import hashlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from course.content.chapters import ROOT, Chapter, all_chapters
from course.processes import Process, wait_for
from course.processes.guard import Guard
from course.processes.interrupts import at_the_end

SCREENSHOTS = ROOT / "docs" / "assets" / "screenshots"
MADE_FROM = SCREENSHOTS / "made-from.json"


# Material announces its successor at each start; requirements/docs.in holds the versions.
QUIET = {"NO_MKDOCS_2_WARNING": "1"}
LAST_LINES = 10
BUILD_LIMIT = 400.0  # seconds: the first build executes the notebooks


class SiteProblem(Exception):
    """The site could not be built. The message says why."""


def mkdocs(*arguments: str) -> NoReturn:
    """Become MkDocs."""
    command = [sys.executable, "-m", "mkdocs", *arguments]
    os.chdir(ROOT)
    os.execve(command[0], command, os.environ | QUIET)


def build_into(folder: Path, guard: Guard, is_ended: Callable[[], bool]) -> None:
    """Build the site in a folder of its own. Raises SiteProblem."""
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)]
    builder = Process("site", shlex.join(command), ROOT, dict(os.environ | QUIET))
    guard.group(builder.pid)
    try:
        wait_for(lambda: builder.exit_code is not None or is_ended(), BUILD_LIMIT)
        builder.wait(1)
    finally:
        code = builder.exit_code
        builder.stop()
        guard.ended(builder.pid)
    if code and not is_ended():
        words = "\n".join(builder.lines[-LAST_LINES:])
        raise SiteProblem(f"The site cannot be built. MkDocs said last:\n{words}")
    if code is None and not is_ended():
        raise SiteProblem(f"The site was not built within {BUILD_LIMIT:.0f} s.")


def take_screenshots() -> int:
    """Let the test that opens all pages take their pictures. Returns its exit code."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    env = os.environ | {"COURSE_SCREENSHOTS": str(SCREENSHOTS), "COURSE_REQUIRE_BROWSER": "1"}
    test = ["tests/test_ladder.py", "-k", "costs", "-m", "thorough"]
    command = [sys.executable, "-m", "pytest", "-q", *test]
    tests = subprocess.Popen(command, cwd=ROOT, env=env)
    with at_the_end(lambda number, frame: tests.send_signal(number)):  # they end what they started
        code = tests.wait()
    if code == 0:
        MADE_FROM.write_text(json.dumps(looks(), indent=2) + "\n")
    return code


def looks() -> dict[str, str]:
    """For each chapter, a hash of the files that decide what its page looks like."""
    return {str(chapter): look(chapter) for chapter in all_chapters()}


def look(chapter: Chapter) -> str:
    folder = chapter.folder / "project" / "subscriptions"
    files = sorted([*folder.glob("templates/*"), *folder.glob("static/*")])
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
