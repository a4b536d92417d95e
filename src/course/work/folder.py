"""The student's own project in work/: how it begins, and where it is."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from course.content.chapters import CHAPTERS, ROOT, Chapter, UnknownChapter
from course.content.printable import printable
from course.content.steps import (
    State,
    Step,
    chapter_of,
    copy_state,
    find_state,
    folder_of,
    start_of,
    state_before,
)
from course.work.progress import Progress, now

WORK = ROOT / "work"
DEFAULT_CHAPTER = "05"  # the finished app


class ProjectToRun(NamedTuple):
    folder: Path
    is_ours: bool  # the course's own, not the reader's
    is_temporary: bool = False  # made for this run, in a folder that goes with it


class WorkProblem(Exception):
    """The student's project cannot be begun, or is not there. The message says what to do."""


def start(state: State, fresh: bool = False, work: Path = WORK) -> Path | None:
    """Begin `work` for this chapter or step: with the app as it is before the first change.

    Returns where the old folder went, if it was moved aside.

    Raises WorkProblem if there is work already and `fresh` is not asked for.
    """
    has_work = work.is_symlink() or (work.exists() and (not work.is_dir() or any(work.iterdir())))
    if has_work and not fresh:
        raise WorkProblem(
            f"{shown(work)} holds your work already, and stays as it is. Go on with "
            f"./course check {state.arguments}, or say ./course start {state.arguments} --fresh: "
            f"that moves it to a dated folder and begins anew."
        )
    # Made beside its place, then moved there: an interrupted start leaves nothing half-done.
    with tempfile.TemporaryDirectory(prefix=".course-start-", dir=work.parent) as folder:
        made = Path(folder) / "work"
        copy_start(state, made)
        Progress(made, {"started": chapter_of(state).number, "at": now()}).save()
        aside = moved_aside(work) if has_work else None
        with suppress(FileNotFoundError):
            work.rmdir()  # an empty folder, if there is one
        made.rename(work)
    return aside


def is_begun(state: State, work: Path = WORK) -> bool:
    """Has `work` been begun for this chapter already, or finished the one before?"""
    progress, chapter = Progress.read(work), chapter_of(state)
    before = state_before(chapter)
    has_finished = isinstance(before, Chapter) and progress.is_done(before)
    return has_finished or progress.data.get("started") == chapter.number


def copy_start(state: State, target: Path) -> None:
    """What one starts from: for a step the step before, for a chapter the chapter before."""
    before = state_before(state) if isinstance(state, Step) and state.number else None
    copy_state(before or start_of(chapter_of(state)), target)


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
    return printable(min(os.path.relpath(path), str(path), key=len))


@contextmanager
def project_to_run(given: str | None) -> Iterator[ProjectToRun]:
    """The folder that `./course run` means.

    `given` is a chapter, a step, `work` or a folder. None: work/ inside it, elsewhere the finished
    app. Raises UnknownChapter or WorkProblem.
    """
    if given is None and Path.cwd().is_relative_to(WORK.resolve()):
        given = "work"
    if given == "work":
        yield ProjectToRun(project_folder(None), is_ours=False)
        return
    try:
        folder = Path(given or "").expanduser().resolve()
        is_folder = folder.is_dir()
    except (OSError, RuntimeError) as error:  # a name that is too long, ~name of no user
        raise UnknownChapter(f"{given} is no folder: {error}") from None
    try:
        state = find_state(given or DEFAULT_CHAPTER)
    except UnknownChapter as unknown:
        if not is_folder:
            raise UnknownChapter(f"{unknown} Nor is {given} a folder with a project.") from None
    else:
        with folder_of(state) as made:
            yield ProjectToRun(made, is_ours=True, is_temporary=isinstance(state, Step))
        return
    if not (folder / "Procfile").is_file():
        raise WorkProblem(
            f"{shown(folder)} has no Procfile, which names a project's processes. "
            "./course start 01 makes a project that has one, in work/."
        )
    yield ProjectToRun(folder, is_ours=folder.parent == CHAPTERS)


def project_folder(given: Path | None) -> Path:
    """The project that is meant: the one given, or work/. Raises WorkProblem if it is not there."""
    if given is None and not WORK.is_dir():
        raise WorkProblem("There is no work/ yet. Begin one with ./course start 01.")
    folder = (given or WORK).resolve()
    if not folder.is_dir():
        raise WorkProblem(f"{shown(folder)} is not a folder.")
    return folder
