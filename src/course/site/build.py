"""What `./course docs` does: MkDocs, and the pictures of the chapters' pages for the site."""

import hashlib
import json
import os
import subprocess
import sys
from typing import NoReturn

from course.content.chapters import ROOT, Chapter, all_chapters
from course.processes.interrupts import at_the_end

SCREENSHOTS = ROOT / "docs" / "assets" / "screenshots"
MADE_FROM = SCREENSHOTS / "made-from.json"


def mkdocs(*arguments: str) -> NoReturn:
    """Become MkDocs."""
    # Material announces its successor at each start; requirements/docs.in holds the versions.
    env = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", *arguments]
    os.chdir(ROOT)
    os.execve(command[0], command, env)


def take_screenshots() -> int:
    """Let the test that opens all five pages take their pictures. Returns its exit code."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    env = os.environ | {"COURSE_SCREENSHOTS": str(SCREENSHOTS), "COURSE_REQUIRE_BROWSER": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "tests/test_ladder.py", "-k", "costs"]
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
