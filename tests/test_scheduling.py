"""Which tests a run leaves out, because it proves the same already; and how long it will take."""

import subprocess
import sys

import pytest

from course.content.chapters import ROOT, find_chapter
from course.testkit.progress import Progress


def collected(*arguments: str) -> str:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-qq", "-n", "0", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout


def test_same_files_are_tested_once() -> None:
    """Chapters 1 and 2 have the same task, chapter 4 another: in a run of all three, it is tested
    in chapters 1 and 4. `--all` and a run of one chapter test it each time.
    """
    files = [
        f"{find_chapter(number).folder.relative_to(ROOT).as_posix()}/tests/test_newsletter.py"
        for number in ("01", "02", "04")
    ]
    in_one_run, all_of_it, alone = (
        collected(*files),
        collected("-m", "", *files),
        collected(files[1]),
    )
    assert [file in in_one_run for file in files] == [True, False, True]
    assert all(file in all_of_it for file in files)
    assert files[1] in alone


def test_new_tests_do_not_spoil_the_time_left(pytestconfig: pytest.Config) -> None:
    """Ten tests that never ran, five of them done, beside many quick ones that are known."""
    progress = Progress(pytestconfig)
    names = [f"new-{number}" for number in range(10)]
    progress.known = {f"known-{number}": 0.01 for number in range(100)} | {"slow": 60.0}
    progress.names = [*names, "slow"]
    for name in [*names[:5], "slow"]:
        progress.done.add(name)
        progress.took[name] = 60.0
    assert progress.line().startswith(" 55 %, 6 of 11 tests, about ")
