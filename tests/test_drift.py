"""No drift between the chapters: what a README does not name is the same, byte for byte."""

import os
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from course.content.chapters import ROOT, Chapter, all_chapters
from course.content.diff import changes, files_of, reason_for, what_is_new
from course.testkit import running

STEPS = list(pairwise(all_chapters()))
NAMES = [f"{before.number}-{after.number}" for before, after in STEPS]
MOST_LINES = 220  # "about 200"
APP = re.compile(r"^(main\.py|project/.*)$")  # the app itself: no tests, no scripts beside it


@pytest.mark.parametrize(("before", "after"), STEPS, ids=NAMES)
def test_readme_names_what_changes(before: Chapter, after: Chapter) -> None:
    """Every file that changes is in the README's list with its reason, and no other is."""
    different = changes(before, after)
    assert [change.path for change in different if not change.reason] == []
    reasons = what_is_new(after)
    used = [entry for change in different for entry in reasons if change.path.startswith(entry)]
    assert sorted(reasons.keys() - set(used)) == []


@pytest.mark.parametrize(("before", "after"), STEPS, ids=NAMES)
def test_gone_is_said_of_what_is_gone(before: Chapter, after: Chapter) -> None:
    """The README says "gone" of what the chapter leaves out, and of nothing else."""
    for change in changes(before, after):
        assert (change.kind == "gone") == change.reason.startswith("gone"), change.path


@pytest.mark.parametrize(("before", "after"), STEPS[:4], ids=NAMES[:4])
def test_step_fits_a_readers_head(before: Chapter, after: Chapter) -> None:
    """No chapter up to 5 changes more than about 200 lines of the app; 6 is read in rounds."""
    lines = [
        line
        for change in changes(before, after)
        if APP.match(change.path)
        for line in change.lines
        if line.startswith(("+", "-")) and line[1:].strip()
    ]
    assert len(lines) <= MOST_LINES


def test_reason_is_found_for_a_folder() -> None:
    """An entry that ends in a slash stands for all files below it."""
    assert reason_for("project/ws/views.py", {"project/ws/": "the socket"}) == "the socket"
    assert reason_for("project/wss.py", {"project/ws/": "the socket"}) == ""


@pytest.mark.parametrize("chapter", all_chapters(), ids=str)
def test_readme_fits_one_screen(chapter: Chapter) -> None:
    """A chapter's README is one screen or two, no more."""
    assert len((chapter.folder / "README.md").read_text().splitlines()) <= 65


@pytest.mark.parametrize("chapter", all_chapters(), ids=str)
def test_chapter_knows_nothing_of_the_tool(chapter: Chapter) -> None:
    """An app does not import the tool: its folder can be copied out."""
    for path, text in files_of(chapter.folder).items():
        if path.endswith(".py") and not path.startswith("tests/"):
            assert not re.search(r"^\s*(from|import) course\b", text, re.MULTILINE), path


def by_requirements() -> list[Chapter]:
    """One chapter for each different requirements.txt."""
    return list({(c.folder / "requirements.txt").read_text(): c for c in all_chapters()}.values())


@pytest.mark.thorough
@pytest.mark.timeout(300)
@pytest.mark.parametrize("chapter", by_requirements(), ids=str)
def test_chapter_alone_installs_and_runs(
    chapter: Chapter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chapter copied into an empty folder installs from its requirements.txt, and runs."""
    folder = tmp_path / "alone"
    shutil.copytree(chapter.folder, folder, ignore=shutil.ignore_patterns("tests", "__pycache__"))
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True, timeout=120)
    install = [str(venv / "bin/python"), "-m", "pip", "install", "-q", "-r", "requirements.txt"]
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=200)
    if done.returncode and not os.environ.get("CI"):
        pytest.skip(f"the packages could not be had: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr

    monkeypatch.setattr(sys, "executable", str(venv / "bin" / "python"))
    with running(folder) as project:
        task_id = project.subscribe("slow+0.1@example.com")
        assert project.until_final(task_id)["state"] == "SUCCESS"


@pytest.mark.parametrize(("lock", "column"), [("test", 2), ("current", 3)])
def test_page_of_versions_names_those_of_the_locks(lock: str, column: int) -> None:
    """The table of the two sets of versions says what the two locks install."""
    locked = re.findall(r"^(\S+)==(\S+)", (ROOT / "requirements" / f"{lock}.txt").read_text(), re.M)
    versions = dict(locked)
    rows = [
        [cell.strip() for cell in line.split("|")]
        for line in (ROOT / "docs" / "under" / "versions.md").read_text().splitlines()
        if re.match(r"\| (asgiref|broadcaster|asyncio-redis|redis) \|", line)
    ]
    assert len(rows) == 4
    for row in rows:
        assert row[column].startswith(versions.get(row[1], "none")), row
