"""`./course hint`: the next hint for what failed first in the last check."""

from dataclasses import dataclass
from pathlib import Path

from course.content.exercises import Exercise, Work
from course.content.hints import HINTS_EACH, hints_for
from course.work.progress import Progress


class NoHint(Exception):
    """There is nothing to give a hint for. The message says what to do instead."""


@dataclass(frozen=True)
class Hint:
    key: str  # the idea it is for
    number: int
    text: str
    cause: str  # what the last check has found to be the reason, if it has found one


def next_hint(what: Work, files: dict[str, Path], progress: Progress) -> Hint:
    """The next hint for the idea that failed first in the last check.

    `files` holds the ideas and their test files. An exercise's hints are for all its ideas. After
    the third hint the third is given again. Raises NoHint.
    """
    own = progress.section(*what.place)
    if "checked" not in own:
        command = f"./course check {what.arguments}"
        raise NoHint(f"A hint is about the first idea that fails: run {command} first.")
    key = own.get("first_failed")
    if key not in files:
        raise NoHint(f"In the last check of {what.title} nothing failed.")
    return take_hint(what, key, files[key], progress)


def take_hint(what: Work, key: str, file: Path, progress: Progress) -> Hint:
    """The next hint for that idea, of that test file; the progress keeps that it was given."""
    hints, name = hints_for(file, key), key
    if isinstance(what, Exercise):
        hints, name = what.hints, "all"
    given = progress.section(*what.place, "hints")
    number = min(int(given.get(name, 0)) + 1, HINTS_EACH)
    given[name] = number
    progress.save()
    cause = progress.section(*what.place, "failed").get(key, "")
    return Hint(key, number, hints[number - 1], str(cause))
