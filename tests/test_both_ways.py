"""Both directions: a chapter's own tests fail, for their reason, on the chapter before."""

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from course.content.chapters import ROOT, Chapter, all_chapters

# Chapter 6 is left out: its tests ask for sessions and settings that chapter 5 does not promise.
STEPS = list(pairwise(all_chapters()[:-1]))
# What a failure may begin with: an expectation of the kit's, or one of the browser's.
MESSAGES = (
    "course.testkit.expect.NotAsExpected",
    "course.testkit.follower.SocketClosed",
    "course.testkit.follower.NoFrame",
    "AssertionError: Locator expected",
)


def own_tests(before: Chapter, after: Chapter) -> list[Path]:
    """The test files that the chapter before does not have."""
    old = {path.name for path in (before.folder / "tests").glob("test_*.py")}
    return [path for path in (after.folder / "tests").glob("test_*.py") if path.name not in old]


@pytest.mark.thorough
@pytest.mark.timeout(240)
@pytest.mark.parametrize(("before", "after"), STEPS, ids=[str(after) for _, after in STEPS])
def test_new_tests_fail_on_the_chapter_before(
    before: Chapter, after: Chapter, tmp_path: Path
) -> None:
    """They fail with a message about the app: no crash in the kit, no error, no hang."""
    report = tmp_path / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not thorough", f"--junitxml={report}"]
    command += ["--project", str(before.folder), *map(str, own_tests(before, after))]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 1, done.stdout[-2000:]

    cases = ElementTree.parse(report).getroot().iter("testcase")
    failures = {}
    for case in cases:
        error = case.find("error")  # after a failure, the page may have console errors as well
        is_of_the_page = error is not None and "console errors" in error.get("message", "")
        assert error is None or is_of_the_page, ElementTree.tostring(case, "unicode")[:2000]
        if (failure := case.find("failure")) is not None:
            failures[case.get("name")] = failure.get("message", "")
    crashes = {name: text for name, text in failures.items() if not text.startswith(MESSAGES)}
    assert crashes == {}
    assert len(failures) >= 4
