"""The exercises: what is there, what fails without the work, what passes with it.

That each solution also leaves the chapter as it was is slow: ./course test -m gallery proves it.
"""

import json
import re
from pathlib import Path

import pytest
from command import course

from course.content.chapters import ROOT, all_chapters, find_chapter
from course.content.edits import copy_app
from course.content.exercises import EXERCISES, Exercise, exercises_of, find_work, ideas_to_check
from course.content.hints import HINTS_EACH
from course.site.exercises import solution_of, with_exercises
from course.work.folder import start
from course.work.progress import STATE, Progress
from course.work.session import Result, check

ALL = [exercise for chapter in all_chapters() for exercise in exercises_of(chapter)]
NAMES = [f"{exercise.chapter.number}-{exercise.number}" for exercise in ALL]
every = pytest.mark.parametrize("exercise", ALL, ids=NAMES)
FILES = {"README.md", "hints.toml", "solution.toml", "test_exercise.py"}


def checked(exercise: Exercise, folder: Path) -> Result:
    return check(ideas_to_check(exercise), folder, lanes=exercise.lanes)


def said(result: Result) -> str:
    first = result.first_failed
    return f"{result.problem}\n{first.failure if first else ''}"


def test_every_chapter_has_exercises() -> None:
    """Two or three a chapter, numbered from 1, and no folder that the tool does not see.

    Chapter 6 has none: its lesson consists of them, round by round.
    """
    for chapter in all_chapters()[:-1]:
        numbers = [exercise.number for exercise in exercises_of(chapter)]
        assert numbers in ([1, 2], [1, 2, 3]), chapter
    assert len(ALL) == len([path for path in EXERCISES.glob("*/*") if path.is_dir()])


@every
def test_exercise_is_complete(exercise: Exercise) -> None:
    """Each has a task, a test, three hints, and a place in its lesson."""
    found = {path.name for path in exercise.folder.iterdir() if path.is_file()}
    assert found == FILES
    assert len(exercise.readme) > 300
    assert re.match(r"# \S", exercise.readme)
    hints = exercise.hints
    assert len(hints) == HINTS_EACH
    assert all(len(hint) > 40 for hint in hints)
    prose = [part for hint in hints for part in hint.split("```")[::2]]
    assert not any(re.search(r"\w\n\w", part) for part in prose)  # a terminal wraps by itself
    ideas = ideas_to_check(exercise)
    assert len({idea.text for idea in ideas}) == len(ideas) >= 2
    assert all(idea.text.endswith(".") for idea in ideas)
    lesson = (ROOT / "docs" / "lessons" / f"{exercise.chapter.number}.md").read_text()
    line = f"{{{{ exercise {exercise.chapter.number} {exercise.number} }}}}"
    assert line in lesson.splitlines()


@every
def test_solution_is_shown_as_it_is(exercise: Exercise) -> None:
    """The page shows the task, the hints and, folded, each line that the solution adds."""
    place = f"{{{{ exercise {exercise.chapter.number} {exercise.number} }}}}"
    page = "\n".join(with_exercises([place]))
    assert f"### {exercise.number}. {exercise.name}\n" in page
    assert f"./course check {exercise.arguments}\n" in page
    lines = [line for hint in exercise.hints for line in hint.splitlines()]
    assert all(f"    {line}" in page for line in lines if line)
    for change in solution_of(exercise):
        assert all(f"    {line}" in page for line in change.lines if line)


@pytest.mark.thorough
@pytest.mark.timeout(120)
@every
def test_fails_without_the_work(exercise: Exercise, tmp_path: Path) -> None:
    """The chapter as it is fails, with words that help, and not by an accident of the kit."""
    copy_app(exercise.chapter.folder, tmp_path / "app", [])
    result = checked(exercise, tmp_path / "app")
    assert result.first_failed, said(result)
    assert result.first_failed.idea.key == ideas_to_check(exercise)[0].key
    failure = result.first_failed.failure
    assert failure
    for text in (failure.expected, failure.seen, failure.usually, failure.look_at):
        assert text, said(result)
    assert "that cannot be read" not in said(result)
    assert (tmp_path / "app" / failure.look_at.partition(":")[0]).exists()


@pytest.mark.thorough
@pytest.mark.timeout(120)
@every
def test_solution_passes(exercise: Exercise, tmp_path: Path) -> None:
    """The chapter with the solution passes."""
    copy_app(exercise.chapter.folder, tmp_path / "app", exercise.solution)
    result = checked(exercise, tmp_path / "app")
    assert result.exit_code == 0, said(result)


@pytest.mark.gallery
@pytest.mark.timeout(180)
@every
def test_solution_leaves_the_chapter_right(exercise: Exercise, tmp_path: Path) -> None:
    """Who has done the exercise still passes the chapter's own check."""
    copy_app(exercise.chapter.folder, tmp_path / "app", exercise.solution)
    result = check(ideas_to_check(exercise.chapter), tmp_path / "app")
    assert result.exit_code == 0, said(result)


@pytest.mark.thorough
@pytest.mark.timeout(120)
def test_student_checks_and_gets_hints(tmp_path: Path) -> None:
    """check and hint with --exercise: how they end, what they say, and what is noted."""
    work = tmp_path / "work"
    start(find_chapter("02"), work=work)  # begins as chapter 1
    arguments = ("01", "--exercise", "2", "--project", work)
    assert "./course check 01 --exercise 2 first" in course("hint", *arguments).stderr
    done = course("check", *arguments)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "✗ Each answer has an entity tag" in done.stdout
    for words in ("expected:", "look at:", "./course hint 01 --exercise 2", "Exercise 2 of"):
        assert words in done.stdout
    for number in (1, 2, 3, 3):
        assert f"Hint {number} of 3" in course("hint", *arguments).stdout
    for edit in find_work("01", 2).solution:  # type: ignore[union-attr]
        edit.apply(work)
    done = course("check", *arguments, "--json")
    data = json.loads(done.stdout)
    assert (done.returncode, data["exit_code"], data["exercise"]) == (0, 0, 2)
    assert "nothing failed" in course("hint", *arguments).stderr
    noted = json.loads((work / STATE).read_text())["chapters"]["01"]
    assert "checked" not in noted  # the chapter itself was not checked
    assert Progress.read(work).summary(find_chapter("01")) == "exercise 2"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["check", "04", "--exercise", "9"], "Its exercises are 1 (Progress in per cent), 2 ("),
        (["check", "04", "--exercise", "0"], "has no exercise 0"),
        (["hint", "04", "--exercise", "9"], "has no exercise 9"),
        (["check", "9", "--exercise", "1"], "There is no chapter"),
    ],
)
def test_unknown_exercise_is_one_sentence(arguments: list[str], words: str) -> None:
    """An exercise that is not there: which there are, with exit code 2."""
    done = course(*arguments)
    assert done.returncode == 2
    assert words in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr + done.stdout
