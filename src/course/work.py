"""The student's own project in work/: how it begins, and how far it is.

Progress is a small JSON file in the project. It belongs to the student: what the tool does not
know in it stays there, and what is damaged is moved aside, not overwritten.
"""

import json
import os
import shutil
import tempfile
import time
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from course.chapters import ROOT, Chapter, all_chapters
from course.edits import Edit, EditProblem, copy_app
from course.exercises import Exercise, exercises_of

WORK = ROOT / "work"
STATE = "course-progress.json"
BARE = Path(__file__).with_name("bare.toml")


class WorkProblem(Exception):
    """The student's project cannot be begun, or is not there. The message says what to do."""


def now() -> str:
    return datetime.now().isoformat(timespec="seconds")


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


@dataclass
class Progress:
    """What the state file of a project holds."""

    project: Path
    data: dict[str, Any]

    @classmethod
    def read(cls, project: Path) -> "Progress":
        file = project / STATE
        data: Any = {}
        try:
            data = json.loads(file.read_text())
        except FileNotFoundError:
            pass
        except (OSError, ValueError):
            with suppress(OSError):
                shutil.move(file, file.with_suffix(f".damaged-{time.strftime('%Y%m%d-%H%M%S')}"))
        return cls(project, data if isinstance(data, dict) else {})

    def save(self) -> None:
        """Write it whole or not at all. A project that cannot be written to keeps no progress."""
        text = json.dumps(self.data, indent=2, sort_keys=True) + "\n"
        file = self.project / STATE
        fresh = file.with_suffix(f".{os.getpid()}.new")
        with suppress(OSError):
            fresh.write_text(text)
            fresh.replace(file)

    def section(self, *names: str) -> dict[str, Any]:
        """A dictionary inside a dictionary, made if it is not there."""
        found = self.data
        for name in names:
            if not isinstance(found.get(name), dict):
                found[name] = {}
            found = found[name]
        return found

    def passed(self, what: Chapter | Exercise) -> dict[str, Any]:
        """When each idea of it passed, by its key."""
        return self.section(*what.place, "passed")

    def is_done(self, what: Chapter | Exercise) -> bool:
        """Did nothing fail in its last check?"""
        own = self.section(*what.place)
        return "checked" in own and own.get("first_failed") is None

    def summary(self, chapter: Chapter) -> str:
        """How far the work is, in a few words."""
        own = self.section(*chapter.place)
        done = [str(e.number) for e in exercises_of(chapter) if self.is_done(e)]
        exercises = [f"exercise {' and '.join(done)}"] if done else []
        if "checked" not in own:
            begun = ["begun"] if self.data.get("started") == chapter.number else []
            return ", ".join(begun + exercises)
        count = f"{'all ' if self.is_done(chapter) else ''}{len(self.passed(chapter))} ideas"
        return ", ".join([count, str(own["checked"])[:10], *exercises])

    def note(self, what: Chapter | Exercise, passed: list[str], failed: str | None) -> None:
        """Note the outcome of a check: what passed and when, and the first idea that failed."""
        times = self.passed(what)
        for key in passed:
            times.setdefault(key, now())
        if failed:
            times.pop(failed, None)
        own = self.section(*what.place)
        own["checked"], own["first_failed"] = now(), failed
        self.data["last_checked"] = what.arguments
        self.save()
