"""The exercises: tasks beyond the building of a chapter, as data read from their folders.

exercises/04/2-announcements/README.md         the task, under its title
exercises/04/2-announcements/test_exercise.py  what `./course check 04 --exercise 2` decides
exercises/04/2-announcements/hints.toml        three hints, from a nudge to nearly the answer
exercises/04/2-announcements/solution.toml     a solution, as changes to the chapter
"""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from course.content.chapters import ROOT, Chapter
from course.content.edits import Edit
from course.content.ideas import Idea, ideas_in, ideas_of
from course.content.steps import Step, chapter_of, find_state, ideas_to_judge

EXERCISES = ROOT / "exercises"


class UnknownExercise(ValueError):
    """The chapter has no such exercise. The message lists those there are."""


@dataclass(frozen=True)
class Exercise:
    chapter: Chapter
    number: int
    folder: Path
    lanes = 1  # a second one would take longer to start than it saves

    @property
    def name(self) -> str:
        """The title of its README: "Announcements"."""
        return self.readme.splitlines()[0].removeprefix("# ")

    @property
    def readme(self) -> str:
        return (self.folder / "README.md").read_text()

    @property
    def title(self) -> str:
        return f"exercise {self.number} of chapter {self.chapter}"

    @property
    def arguments(self) -> str:
        """What names it behind `./course check`."""
        return f"{self.chapter.number} --exercise {self.number}"

    @property
    def place(self) -> tuple[str, ...]:
        """Where a student's progress in it is noted."""
        return *self.chapter.place, "exercises", str(self.number)

    @property
    def hints(self) -> list[str]:
        hints = tomllib.loads((self.folder / "hints.toml").read_text())["hints"]
        return [unwrapped(str(hint).strip()) for hint in hints]

    @property
    def solution(self) -> list[Edit]:
        edits = tomllib.loads((self.folder / "solution.toml").read_text())["edits"]
        return [Edit.read(edit) for edit in edits]


def unwrapped(text: str) -> str:
    """The text with each paragraph on one line; code stays as it is."""
    parts = text.split("```")
    parts[::2] = [re.sub(r"(?<!\n)\n(?!\n|$)", " ", part) for part in parts[::2]]
    return "```".join(parts)


def exercises_of(chapter: Chapter) -> list[Exercise]:
    folders = sorted((EXERCISES / chapter.number).glob("[0-9]-*"))
    return [Exercise(chapter, int(folder.name[0]), folder) for folder in folders]


Work = Chapter | Exercise | Step  # what can be checked


def find_work(wanted: str, exercise: int | None) -> Work:
    """A chapter, a step ("04.2"), or an exercise. Raises UnknownChapter or UnknownExercise."""
    state = find_state(wanted)
    if exercise is None:
        return state
    found = chapter_of(state)
    exercises = exercises_of(found)
    for one in exercises:
        if one.number == exercise:
            return one
    names = ", ".join(f"{one.number} ({one.name})" for one in exercises)
    raise UnknownExercise(f"Chapter {found} has no exercise {exercise}. Its exercises are {names}.")


def ideas_to_check(what: Work) -> list[Idea]:
    """What a check of it decides, one by one; what needs a browser comes after the rest.

    Of a step: what is given, and what its chapter's steps have brought up to it.
    """
    if isinstance(what, Step):
        return ideas_to_judge(what)
    if isinstance(what, Chapter):
        return ideas_of(what)
    found = ideas_in(what.folder / "test_exercise.py", is_new=True)
    return sorted(found, key=lambda idea: idea.needs_browser)
