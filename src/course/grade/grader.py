"""`./course grade`: every project in a folder, each checked on a copy of its own, within limits."""

import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path

from course.content.chapters import Chapter, all_chapters
from course.content.ideas import PASSED, START, Idea, ideas_of
from course.content.printable import printable
from course.grade.results import Results, Row, plain
from course.processes.limits import MOST_FILES, in_mib
from course.processes.tree import ProcessTree
from course.work.session import Result, check

ACCIDENT = "could not be checked"  # the machine's fault, not the project's
NO_PART_OF_IT = shutil.ignore_patterns(
    ".git", ".venv", "venv", "node_modules", "__pycache__", ".*_cache"
)


def name_of(project: Path) -> str:
    """The folder's name as its row has it: some hold bytes that are no UTF-8, or escape codes."""
    return plain(printable(project.name)).removeprefix("'")


def projects_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")


class Grader:
    """Grades projects, several at a time, and writes each result as it comes."""

    def __init__(self, results: Results, chapter: Chapter | None, with_wires: bool = False) -> None:
        self.results, self.chapter, self.with_wires = results, chapter, with_wires
        self.asked = chapter.number if chapter else "highest"
        self.trees: set[ProcessTree] = set()
        self.is_over = threading.Event()

    def is_done(self, project: Path) -> bool:
        """Was this very project graded by an earlier run, and asked the same?"""
        row = self.results.rows.get(name_of(project))
        if not row or row.problem.startswith(ACCIDENT):
            return False
        return row.asked == self.asked and row.fingerprint == fingerprint(project)

    def grade_all(self, projects: list[Path], jobs: int, on_done: Callable[[Row], None]) -> None:
        """Grade them; KeyboardInterrupt ends what runs, and what has been written stays."""
        with ThreadPoolExecutor(jobs) as pool:
            try:
                running = [pool.submit(self.grade, project) for project in projects]
                for future in as_completed(running):
                    row = future.result()
                    self.results.add(row)
                    on_done(row)
            except BaseException:
                self.is_over.set()
                pool.shutdown(wait=False, cancel_futures=True)
                for tree in list(self.trees):
                    tree.end_for_good()
                raise
            finally:
                with suppress(OSError):
                    self.results.write_junit()

    def grade(self, project: Path) -> Row:
        row = Row(name_of(project), asked=self.asked)
        try:
            row.fingerprint = fingerprint(project)
            row.problem = why_refused(project)
            if not row.problem:
                self.fill(row, root_of(project))
        except Exception as error:  # one project's row, and no other's
            row.problem = f"{ACCIDENT}: {type(error).__name__}: {error}"
        return row

    def fill(self, row: Row, project: Path) -> None:
        if self.chapter:
            result, row.problem = self.check(ideas_of(self.chapter), project)
            row.chapter = self.chapter.number
            row.passed = "yes" if result.exit_code == 0 and not row.problem else "no"
            tell(row, result)
            self.keep_wires(row, result)
            return
        told: Result | None = None  # what the row says of the project
        above: Chapter | None = None
        seconds = 0.0
        for chapter in reversed(all_chapters()):
            # The chapter's own ideas come first: they tell soonest that it is not reached.
            ideas = sorted(ideas_of(chapter), key=lambda i: (i.key != START, not i.is_new))
            result, row.problem = self.check(ideas, project)
            seconds += result.seconds
            if result.exit_code == 0 and not row.problem:
                row.chapter, row.passed = chapter.number, "yes"
                told = result
                break
            if not (told and lacks_given_alone(told)):
                told = result  # what a chapter long left behind misses would mislead
            first = result.first_failed
            if row.problem or (first and first.idea.key == START):
                break  # it will not start for another chapter either
            above = chapter
        if row.passed == "yes" and above:
            ideas = [idea for idea in ideas_of(above) if idea.is_new]
            told, row.problem = self.check(ideas, project, stop_at_first=False)
            seconds += told.seconds
            row.holds_already = "; ".join(decision.idea.text for decision in told.of(PASSED))
        if told:
            tell(row, told)
            self.keep_wires(row, told)
        row.seconds = f"{seconds:.1f}"

    def check(
        self, ideas: list[Idea], project: Path, stop_at_first: bool = True
    ) -> tuple[Result, str]:
        """Check a copy, which goes afterwards. Returns what was decided, and what went wrong."""
        with ProcessTree() as tree:
            self.trees.add(tree)
            try:
                if self.is_over.is_set():  # set before the trees are ended: none is missed
                    raise KeyboardInterrupt
                copy = tree.folder / "project"
                shutil.copytree(project, copy, symlinks=True, ignore=NO_PART_OF_IT)
                result = check(
                    ideas,
                    copy,
                    lanes=1,
                    stop_at_first=stop_at_first,
                    tree=tree,
                    with_wires=self.with_wires,
                )
            finally:
                self.trees.discard(tree)
        if self.is_over.is_set():
            raise KeyboardInterrupt
        return result, result.problem

    def keep_wires(self, row: Row, result: Result) -> None:
        """What passed between a project's processes before its first idea failed, in a file."""
        if (first := result.first_failed) and first.failure and first.failure.wires:
            folder = self.results.path.with_suffix(".wires")
            folder.mkdir(exist_ok=True)
            text = "\n".join(map(printable, [first.idea.text, *first.failure.wires])) + "\n"
            (folder / f"{row.project[:100]}.txt").write_text(text)


def lacks_given_alone(result: Result) -> bool:
    """Do all the ideas that are new in this chapter hold, and only a given one does not?"""
    first = result.first_failed  # the new ones were judged first
    return first is not None and first.idea.key != START and not first.idea.is_new


def tell(row: Row, result: Result) -> None:
    row.ideas = f"{len(result.of(PASSED))} of {len(result.decisions)}"
    row.seconds = f"{result.seconds:.1f}"
    if first := result.first_failed:
        row.first_failed = first.idea.text
    if first and first.failure:
        row.expected, row.seen = first.failure.expected, first.failure.seen


def root_of(project: Path) -> Path:
    """The folder with the Procfile: the project's own, or the only folder in it."""
    inner = projects_in(project)
    is_inner = not (project / "Procfile").exists() and len(inner) == 1
    return inner[0] if is_inner and (inner[0] / "Procfile").exists() else project


def files_of(project: Path) -> Iterator[Path]:
    """What is handed in: files, links and what else there is, without what tools keep beside."""
    for parent, folders, files in os.walk(project):
        folders[:] = sorted(set(folders) - NO_PART_OF_IT(parent, folders))
        links = [name for name in folders if Path(parent, name).is_symlink()]
        yield from (Path(parent, name) for name in sorted([*files, *links]))


def why_refused(project: Path) -> str:
    """Why a submission is not checked, in a sentence; "" if it is."""
    if project.is_symlink():
        return "Refused: it is a link to another folder. The files themselves are to be handed in."
    size = 0
    for path in files_of(project):
        name = printable(str(path.relative_to(project)))
        if path.is_symlink():
            if not path.resolve().is_relative_to(project.resolve()):
                return f"Refused: {name} is a link that leads out of the submission."
        elif not path.is_file():
            return f"Refused: {name} is neither a file nor a folder."
        else:
            size += path.stat().st_size
    if size > MOST_FILES:
        return f"Refused: it holds {in_mib(size)} of files; the limit is {in_mib(MOST_FILES)}."
    return ""


def fingerprint(project: Path) -> str:
    """Changes when a file of the project does. Links are not followed.

    Of a file that alone is too large for a submission, the size stands for the content.
    """
    found = hashlib.sha256()
    for path in files_of(project):
        found.update(os.fsencode(path.relative_to(project)))
        with suppress(OSError):
            if path.is_symlink():
                found.update(os.fsencode(path.readlink()))
            elif path.is_file():
                found.update(str(path.stat().st_size).encode())
                if path.stat().st_size <= MOST_FILES:
                    with path.open("rb") as file:
                        found.update(hashlib.file_digest(file, "sha256").digest())
    return found.hexdigest()[:16]
