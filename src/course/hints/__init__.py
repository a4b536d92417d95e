"""Three hints for each idea, from a nudge to nearly the answer: data, in the files beside this."""

import tomllib
from functools import cache
from pathlib import Path

from course.chapters import Chapter
from course.exercises import Exercise
from course.work import Progress

HINTS_EACH = 3


class NoHint(Exception):
    """There is nothing to give a hint for. The message says what to do instead."""


@cache
def all_hints() -> dict[str, dict[str, list[str]]]:
    """By the test file's name, then by the idea's key."""
    folder = Path(__file__).parent
    return {file.stem: tomllib.loads(file.read_text()) for file in folder.glob("*.toml")}


def hints_for(file: Path, key: str) -> list[str]:
    return all_hints().get(file.stem, {}).get(key, [])


def next_hint(
    what: Chapter | Exercise, files: dict[str, Path], progress: Progress
) -> tuple[str, int, str]:
    """The idea that failed first in the last check, the number of its next hint, and the hint.

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
    hints, name = hints_for(files[key], key), key
    if isinstance(what, Exercise):
        hints, name = what.hints, "all"
    given = progress.section(*what.place, "hints")
    number = min(int(given.get(name, 0)) + 1, HINTS_EACH)
    given[name] = number
    progress.save()
    return key, number, hints[number - 1]
