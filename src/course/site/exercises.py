"""An exercise on a page of the site: its task, its hints and, folded, its solution as a diff."""

import re
import tempfile
from pathlib import Path

from course.content.diff import Change, differences, files_of
from course.content.edits import copy_app
from course.content.exercises import Exercise, find_work

EXERCISE = re.compile(r"^\{\{ exercise (?P<chapter>\d\d) (?P<number>\d) \}\}$")
NUMBERS = ("first", "second", "third")


def with_exercises(lines: list[str]) -> list[str]:
    """Replace each line {{ exercise 04 2 }} by the exercise."""
    result = []
    for line in lines:
        match = EXERCISE.match(line)
        found = find_work(match["chapter"], int(match["number"])) if match else None
        result += section(found) if isinstance(found, Exercise) else [line]
    return result


def section(exercise: Exercise) -> list[str]:
    task = exercise.readme.splitlines()[1:]
    lines = [f"### {exercise.number}. {exercise.name}", *task, ""]
    lines += ["```", f"./course check {exercise.arguments}", "```", ""]
    for word, hint in zip(NUMBERS, exercise.hints, strict=True):
        lines += folded("tip", f"The {word} hint", hint.splitlines())
    diffs = [line for change in solution_of(exercise) for line in described(change)]
    return lines + folded("success", "A solution", diffs)


def folded(kind: str, title: str, lines: list[str]) -> list[str]:
    return [f'??? {kind} "{title}"', "", *[f"    {line}" if line else "" for line in lines], ""]


def solution_of(exercise: Exercise) -> list[Change]:
    """What the solution changes in the chapter's app."""
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "before", Path(folder) / "after"
        copy_app(exercise.chapter.folder, before, [])
        copy_app(exercise.chapter.folder, after, exercise.solution)
        return differences(files_of(before), files_of(after), {})


def described(change: Change) -> list[str]:
    return [f'``` {{ .diff title="{change.path}" }}', *change.lines, "```", ""]
