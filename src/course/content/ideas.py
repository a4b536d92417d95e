"""A chapter's ideas: its test functions, read as text, in the order in which they are checked."""

import ast
from dataclasses import dataclass
from pathlib import Path

from course.content.chapters import ROOT, Chapter, all_chapters

THOROUGH = "pytest.mark.thorough"  # in a file whose tests ask more than a reader's own work need do
NOT_IN_CHECK = "not_in_check"  # the marker of tests that `./course test` runs and `check` does not

PASSED, FAILED, SKIPPED, NOT_REACHED = "passed", "failed", "skipped", "not reached"


@dataclass(frozen=True)
class Idea:
    key: str  # the test function's name, which no other test of the chapter has
    file: Path
    text: str  # the first line of its docstring
    needs_browser: bool
    needs_project: bool  # the one that tests share; others start processes of their own
    is_new: bool  # no earlier chapter has it

    @property
    def node(self) -> str:
        """Its name for pytest."""
        # Relative: in an absolute one, pytest would take a folder's "[" for a parameter.
        return f"{self.file.relative_to(ROOT)}::{self.key}"


def ideas_of(chapter: Chapter) -> list[Idea]:
    """What the check decides, one by one: the basics first, the chapter's own ideas last.

    What needs a browser comes after the rest: where both fail, the rest says more about the reason.
    """
    has = {c.number: {path.name for path in c.folder.glob(TESTS)} for c in all_chapters()}
    later = {name for number, names in has.items() if number > chapter.number for name in names}

    def since(file: Path) -> str:
        return next(number for number, names in has.items() if file.name in names)

    def position(file: Path) -> tuple[str, bool, int, str]:
        # A file that no later chapter has comes last: it holds what is this chapter's alone.
        order = FIRST.index(file.name) if file.name in FIRST else len(FIRST)
        return since(file), file.name not in later, order, file.name

    found = []
    for file in sorted(chapter.folder.glob(TESTS), key=position):
        if THOROUGH in file.read_text():
            continue
        found += ideas_in(file, since(file) == chapter.number)
    return sorted(found, key=lambda idea: idea.needs_browser)


def ideas_in(file: Path, is_new: bool) -> list[Idea]:
    """The ideas of one test file."""
    return [
        Idea(
            function.name,
            file,
            text_of(function),
            needs_browser="page" in arguments(function),
            needs_project=needs_project(arguments(function)),
            is_new=is_new,
        )
        for function in ast.parse(file.read_text()).body
        if isinstance(function, ast.FunctionDef)
        and function.name.startswith("test_")
        and not any(NOT_IN_CHECK in ast.dump(mark) for mark in function.decorator_list)
    ]


TESTS = "tests/test_*.py"
START = "test_project_starts"  # the idea that all others need
BASICS = "test_app.py"
FIRST = (BASICS, "test_page.py", "test_processes.py")


def text_of(function: ast.FunctionDef) -> str:
    return (ast.get_docstring(function) or function.name).splitlines()[0]


def arguments(function: ast.FunctionDef) -> set[str]:
    return {argument.arg for argument in function.args.args}


def needs_project(fixtures: set[str]) -> bool:
    """A fixture that is a file's own, such as patient_web, may stand on the shared project."""
    is_on_its_own = bool(fixtures & {"own_project", "folder"})
    return bool(fixtures & {"project", "page"}) or not is_on_its_own
