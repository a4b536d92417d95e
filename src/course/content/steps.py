"""The steps of a chapter: the app as it is after each of them, made from files that are real code.

chapters/04-broadcaster/steps/2-subscribe/step.toml     its title, what one sees, its ideas
chapters/04-broadcaster/steps/2-subscribe/project/...   complete, the files that the step changes

Step 04.2 is chapter 3's app with the files of steps 1 and 2 laid over it, one after the other; the
last step is chapter 4's own app, byte for byte. 04.0 is what chapter 4 starts from. Chapter 1 has
no chapter before it: 01.0 is its own app under the files of steps/0-*, where the work has yet to
be done. A step.toml may name files that go: removed = ["project/old.py"].
"""

import re
import shutil
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import Any

from course.content.chapters import ROOT, Chapter, UnknownChapter, all_chapters, find_chapter
from course.content.edits import LEFT_OUT
from course.content.ideas import BASICS, Idea, ideas_of

STEP_NAME = re.compile(r"(\d{1,2})\.(\d)")
ABOUT = "step.toml"


class UnknownStep(UnknownChapter):
    """The chapter has no such step. The message lists those there are."""


class StepProblem(ValueError):
    """A step's folder is not what it should be. The message says what to change."""


@dataclass(frozen=True)
class Step:
    """The state of the app after one step of a chapter; number 0: before the first."""

    chapter: Chapter
    number: int
    overlay: Path | None  # the folder with the files that the step changes
    lanes = 3  # in which it is checked

    def __str__(self) -> str:
        return f"{self.chapter.number}.{self.number}"

    @property
    def title(self) -> str:
        return f"step {self}"

    @property
    def arguments(self) -> str:
        """What names it behind `./course check`."""
        return str(self)

    @property
    def place(self) -> tuple[str, ...]:
        """Where a student's progress in it is noted: with the chapter's."""
        return self.chapter.place

    @cached_property
    def about(self) -> dict[str, Any]:
        """What step.toml holds."""
        file = self.overlay / ABOUT if self.overlay else None
        if file and (file.exists() or self.number):
            return tomllib.loads(file.read_text())
        return {"title": "What you start from", "shows": "", "ideas": []}

    @property
    def name(self) -> str:
        """The step's title in the lesson: "A view that waits"."""
        return str(self.about["title"])

    @property
    def shows(self) -> str:
        """What the reader sees once the step is done."""
        return str(self.about["shows"])

    @property
    def idea_keys(self) -> list[str]:
        """The ideas (test functions) that hold from this step on."""
        return list(self.about["ideas"])

    @property
    def may_hold_before(self) -> list[str]:
        """Those of its ideas that chance may let hold before the step, too."""
        return list(self.about.get("may_hold_before", []))

    @property
    def removed(self) -> list[str]:
        """The files that the step takes away."""
        return list(self.about.get("removed", []))

    @property
    def changed(self) -> dict[str, Path]:
        """The files that the step adds or changes, by their place in the app."""
        return app_files(self.overlay) if self.overlay else {}


State = Chapter | Step


def app_files(folder: Path) -> dict[str, Path]:
    """The files of an app, by their place in it; without tests, README and caches."""
    found = {}
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder)
        ignored = any(fnmatch(part, pattern) for part in place.parts for pattern in LEFT_OUT)
        if path.is_file() and not ignored and place.name != ABOUT:
            found[place.as_posix()] = path
    return found


def steps_of(chapter: Chapter) -> list[Step]:
    """The chapter's steps, in order; none if its lesson has not been divided into steps."""
    folders = sorted((chapter.folder / "steps").glob("[1-9]-*"))
    steps = [Step(chapter, int(folder.name[0]), folder) for folder in folders]
    if [step.number for step in steps] != list(range(1, len(steps) + 1)):
        names = ", ".join(folder.name for folder in folders)
        raise StepProblem(f"The steps of {chapter} are not numbered 1, 2, 3 …: {names}.")
    return steps


def start_of(chapter: Chapter) -> Step:
    """What a chapter starts from: the chapter before, or, for the first, the app without tasks."""
    zero = next(iter((chapter.folder / "steps").glob("0-*")), None)
    return Step(chapter, 0, zero)


def find_state(wanted: str) -> State:
    """A chapter ("04", "broadcaster"), or the state after one of its steps ("04.2", "4.2").

    "04.0" is what chapter 4 starts from. Raises UnknownChapter, or UnknownStep, which is one.
    """
    match = STEP_NAME.fullmatch(wanted)
    if not match:
        return find_chapter(wanted)
    chapter = find_chapter(match[1])
    steps = [start_of(chapter), *steps_of(chapter)]
    if int(match[2]) < len(steps):
        return steps[int(match[2])]
    names = ", ".join(f"{step} ({step.name})" for step in steps[1:])
    has = f"Its steps are {names}." if names else "It has not been divided into steps."
    raise UnknownStep(f"Chapter {chapter} has no step {match[2]}. {has}")


def chapter_of(state: State) -> Chapter:
    return state.chapter if isinstance(state, Step) else state


def state_before(state: State) -> State | None:
    """A step's state before it, a chapter's chapter before it; None if there is nothing before."""
    if isinstance(state, Step) and state.number:
        return [start_of(state.chapter), *steps_of(state.chapter)][state.number - 1]
    chapter = chapter_of(state)
    before = [other for other in all_chapters() if other.number < chapter.number]
    return before[-1] if before else None


def app_of(state: State) -> dict[str, Path]:
    """The app's files in that state: the place of each in the app, and where it is read from."""
    if isinstance(state, Chapter):
        return app_files(state.folder)
    # Nothing is before chapter 1: what it starts from is made of itself.
    files = app_of(state_before(state) or state.chapter)
    if missing := [place for place in state.removed if place not in files]:
        raise StepProblem(f"Step {state} removes {', '.join(missing)}, which is not there.")
    return {place: path for place, path in files.items() if place not in state.removed} | (
        state.changed
    )


def copy_state(state: State, target: Path) -> None:
    """Write the app in that state into a folder that is not there yet."""
    target.mkdir(parents=True)
    for place, path in app_of(state).items():
        (target / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target / place)


@contextmanager
def folder_of(state: State) -> Iterator[Path]:
    """A folder with the app in that state: a chapter's own, or one made of its steps for now."""
    if isinstance(state, Chapter):
        yield state.folder
        return
    with tempfile.TemporaryDirectory(prefix="course-step-") as made:
        folder = Path(made) / str(state)
        copy_state(state, folder)
        yield folder


def given_ideas(chapter: Chapter) -> list[Idea]:
    """The chapter's ideas that no step brings: they hold from the start."""
    brought = {key for step in steps_of(chapter) for key in step.idea_keys}
    given = [idea for idea in ideas_of(chapter) if idea.key not in brought]
    return [replace(idea, is_new=False) for idea in given]


def own_ideas(step: Step) -> list[Idea]:
    """The ideas that the step brings, in the order of its step.toml."""
    ideas = {idea.key: idea for idea in ideas_of(step.chapter)}
    if unknown := [key for key in step.idea_keys if key not in ideas]:
        raise StepProblem(f"Step {step} names what {step.chapter} does not check: {unknown}.")
    return [ideas[key] for key in step.idea_keys]


def ideas_up_to(step: Step) -> list[Idea]:
    """Every idea that holds once this step is done: those given, then each step's in order."""
    return given_ideas(step.chapter) + ideas_brought(step)


def ideas_brought(step: Step) -> list[Idea]:
    """What the chapter's steps have brought up to this one, in their order."""
    return [idea for one in steps_of(step.chapter)[: step.number] for idea in own_ideas(one)]


def ideas_to_judge(step: Step) -> list[Idea]:
    """The same as ideas_up_to(), in the order in which a check of the step decides them.

    What the steps bring comes soon: it is what the reader works on. Only the basics come before it,
    which are decided in a moment and say most about the reason.
    """
    given, brought = given_ideas(step.chapter), ideas_brought(step)
    basics = [idea for idea in given if idea.file.name == BASICS and idea.needs_project]
    return basics + brought + [idea for idea in given if idea not in basics]


def step_of_idea(chapter: Chapter, key: str) -> Step | None:
    """The step that brings this idea; None: it is given."""
    return next((step for step in steps_of(chapter) if key in step.idea_keys), None)


def stale_files(chapter: Chapter) -> list[str]:
    """What no longer fits together in the chapter's steps, each with what mends it. None: all fits.

    The last step must be the chapter. And no step may lack a line that its file has both before
    the chapter's first step and at the chapter's end: that is a change to a shared file that the
    step has not got yet.
    """
    steps = steps_of(chapter)
    if not steps:
        return []
    found = []
    last, own = app_of(steps[-1]), app_of(chapter)
    for place in sorted(last.keys() | own.keys()):
        if place not in own:
            found.append(f"{place} is there after step {steps[-1]}, and not in {chapter}.")
        elif place not in last:
            found.append(f"{place} is in {chapter}, and not there after step {steps[-1]}.")
        elif last[place].read_bytes() != own[place].read_bytes():
            found.append(
                f"{shown(last[place])} is not {shown(own[place])}: "
                f"./course spread {shown(own[place])}, or copy it."
            )
    first = app_of(start_of(chapter))
    for step in steps:
        for place, path in step.changed.items():
            if place in first and place in own:
                kept = lines_of(first[place]) & lines_of(own[place])
                if lost := sorted(kept - lines_of(path)):
                    found.append(
                        f"{shown(path)} lacks a line that is there before and after the step: "
                        f"{lost[0]!r}. ./course spread {shown(own[place])} once that is changed, "
                        "or add it by hand."
                    )
    return found


def lines_of(file: Path) -> set[str]:
    """The lines of a file that say something, without their indentation."""
    return {line.strip() for line in file.read_text().splitlines() if len(line.strip()) > 2}


def shown(path: Path) -> str:
    return (path.relative_to(ROOT) if path.is_relative_to(ROOT) else path).as_posix()
