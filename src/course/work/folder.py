"""The student's own project in work/: how it begins, and where it is."""

import os
import shutil
import tempfile
import time
import tomllib
from contextlib import suppress
from pathlib import Path

from course import content
from course.content.chapters import ROOT, Chapter, all_chapters
from course.content.edits import Edit, EditProblem, copy_app
from course.work.progress import Progress, now

WORK = ROOT / "work"
BARE = Path(content.__file__).with_name("bare.toml")


class WorkProblem(Exception):
    """The student's project cannot be begun, or is not there. The message says what to do."""


def start(chapter: Chapter, fresh: bool = False, work: Path = WORK) -> Path | None:
    """Begin `work` for this chapter. Returns where the old folder went, if it was moved aside.

    Raises WorkProblem if there is work already and `fresh` is not asked for.
    """
    has_work = work.is_symlink() or (work.exists() and (not work.is_dir() or any(work.iterdir())))
    if has_work and not fresh:
        raise WorkProblem(
            f"{shown(work)} holds your work already, and stays as it is. Go on with "
            f"./course check {chapter.number}, or say ./course start {chapter.number} --fresh: "
            f"that moves it to a dated folder and begins anew."
        )
    # Made beside its place, then moved there: an interrupted start leaves nothing half-done.
    with tempfile.TemporaryDirectory(prefix=".course-start-", dir=work.parent) as folder:
        made = Path(folder) / "work"
        copy_start(chapter, made)
        Progress(made, {"started": chapter.number, "at": now()}).save()
        aside = moved_aside(work) if has_work else None
        with suppress(FileNotFoundError):
            work.rmdir()  # an empty folder, if there is one
        made.rename(work)
    return aside


def copy_start(chapter: Chapter, target: Path) -> None:
    """What one starts a chapter from: the chapter before, or, for the first, the bare app."""
    before = [other for other in all_chapters() if other.number < chapter.number]
    if before:
        copy_app(before[-1].folder, target, [])
    else:
        edits = tomllib.loads(BARE.read_text())["edit"]
        try:
            copy_app(chapter.folder, target, [Edit.read(edit) for edit in edits])
        except EditProblem as problem:
            raise WorkProblem(
                f"{shown(chapter.folder)} has been changed, and work/ is made from it. Put it "
                f"back: git stash -- {shown(chapter.folder)} keeps the change, and takes it away."
            ) from problem


def moved_aside(path: Path) -> Path:
    stamp = time.strftime("%Y-%m-%d-%H%M%S")
    target = path.with_name(f"{path.name}-{stamp}")
    number = 2
    while target.exists() or target.is_symlink():
        target = path.with_name(f"{path.name}-{stamp}-{number}")
        number += 1
    path.rename(target)
    return target


def shown(path: Path) -> str:
    """A path as a person would write it: relative to where they are, if that is shorter."""
    relative = os.path.relpath(path)
    return relative if len(relative) < len(str(path)) else str(path)


def project_folder(given: Path | None) -> Path:
    """The project that is meant: the one given, or work/. Raises WorkProblem if it is not there."""
    if given is None and not WORK.is_dir():
        raise WorkProblem("There is no work/ yet. Begin one with ./course start 01.")
    folder = (given or WORK).resolve()
    if not folder.is_dir():
        raise WorkProblem(f"{shown(folder)} is not a folder.")
    return folder
