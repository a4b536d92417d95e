"""Which tests a run leaves out, because it proves the same already."""

import subprocess
import sys

from course.content.chapters import ROOT, find_chapter


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
