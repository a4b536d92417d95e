"""`./course grade` on the terminal: a word of warning, a progress bar, and the table."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from course.content.chapters import Chapter
from course.grade.grader import Grader, name_of, projects_in
from course.grade.results import Results, Row
from course.learn.class_page import class_page
from course.processes.web_page import open_page
from course.work.folder import WorkProblem, shown


def no_page() -> None:
    """A row that is shown on no page."""


def grade_folder(
    console: Console,
    folder: Path,
    chapter: Chapter | None,
    jobs: int,
    out: Path,
    with_page: bool = False,
    with_wires: bool = False,
) -> None:
    """Grade each project in the folder. Raises WorkProblem or ResultsProblem."""
    if not folder.is_dir():
        raise WorkProblem(f"{folder} is not a folder.")
    projects = projects_in(folder)
    if not projects:
        raise WorkProblem(f"{folder} holds no projects: each is a folder of its own in it.")
    grader = Grader(Results(out), chapter, with_wires)
    left = [project for project in projects if not grader.is_done(project)]
    console.print("This runs the students' code, with your rights: see ./course grade --help.")
    if len(left) < len(projects):
        console.print(f"{len(projects) - len(left)} of {len(projects)} are done already.")

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    names = [name_of(project) for project in projects]
    with ExitStack() as stack:
        note_row: Callable[[], None] = no_page
        if with_page:
            address, note_row = stack.enter_context(class_page(grader.results, names))
            console.print(f"The table, row by row: {address}", soft_wrap=True, markup=False)
            open_page(address)
        progress = stack.enter_context(Progress(*columns, TimeElapsedColumn(), console=console))
        bar = progress.add_task("grading", total=len(left))

        def done(row: Row) -> None:
            progress.update(bar, advance=1, description=row.project[:30])
            note_row()

        grader.grade_all(left, jobs, done)
    console.print(grader.results.table(names))
    files = f"\nIn {shown(out)}, and as JUnit XML in {shown(out.with_suffix('.xml'))}."
    console.print(files, soft_wrap=True, markup=False)
    kept = out.with_suffix(".wires")
    if with_wires and kept.is_dir():
        where = (
            f"What passed before the first idea failed: in {shown(kept)}, a file for each project."
        )
        console.print(where, soft_wrap=True, markup=False)
