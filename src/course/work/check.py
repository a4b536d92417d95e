"""`./course check`: once, or again on each save."""

from contextlib import suppress
from pathlib import Path

from rich.console import Console
from watchfiles import Change, DefaultFilter
from watchfiles import watch as changes_in

from course.content.exercises import Work, ideas_to_check
from course.content.printable import printable
from course.processes.limits import entries_in
from course.work.folder import WORK, WorkProblem
from course.work.output import Lines, as_data, say_outcome
from course.work.progress import STATE, Progress
from course.work.session import Decision, Result, check

__all__ = ["as_data", "check_once", "keeps_progress", "note", "watch"]


def check_once(
    console: Console,
    what: Work,
    project: Path,
    quiet: bool = False,
    verbose: bool = False,
    with_wires: bool = False,
) -> Result:
    """Check the project and say what holds. In work/ the progress is kept."""
    progress = Progress.read(project)
    lines = Lines(console, what, verbose)
    if not quiet:
        console.print(f"Checking {what.title}.\n")
    result = check(
        ideas_to_check(what),
        project,
        (lambda decision: None) if quiet else lines.say,
        lanes=what.lanes,
        first=progress.failed(what),
        with_wires=with_wires,
    )
    lines.end()
    note(what, project, result)
    if not quiet and not result.problem:
        say_outcome(console, what, project, result, verbose)
    return result


def keeps_progress(project: Path) -> bool:
    """A project that was not begun with `start` is its owner's: nothing is written to it."""
    return project == WORK.resolve() or (project / STATE).exists()


def note(what: Work, project: Path, result: Result) -> None:
    """Keep the outcome of a check in the project's progress."""
    if not result.problem and keeps_progress(project):
        passed = [decision.idea.key for decision in result.of("passed")]
        failed = {d.idea.key: why(d) for d in result.of("failed")}
        Progress.read(project).note(what, passed, failed)


def why(decision: Decision) -> str:
    """What a hint begins with: the cause that the check has found, if it has found one."""
    failure = decision.failure
    return failure.usually if failure and failure.because else ""


def stamps(project: Path) -> dict[str, float]:
    """When each source file was last saved; what a check itself writes is left out."""
    found = {}
    is_source = DefaultFilter()
    for _, entry in entries_in(project):
        is_own = entry.name.startswith(Path(STATE).stem)
        if not is_own and is_source(Change.modified, entry.path):
            with suppress(OSError):
                if entry.is_file():
                    found[entry.path] = entry.stat().st_mtime
    return found


def watch(
    console: Console, what: Work, project: Path, verbose: bool = False, with_wires: bool = False
) -> None:
    """Check, and again on each save, a save during the check included, until Ctrl-C."""
    while True:
        before = stamps(project)
        result = check_once(console, what, project, verbose=verbose, with_wires=with_wires)
        if result.problem:
            console.print(f"\n{printable(result.problem)}", soft_wrap=True, markup=False)
        console.print("\nWaiting for a save. Ctrl-C ends this.")
        try:
            for _ in changes_in(
                project, raise_interrupt=True, yield_on_timeout=True, rust_timeout=500
            ):
                if stamps(project) != before:
                    break
        except (OSError, RuntimeError) as error:  # watchfiles' own is a RuntimeError
            raise WorkProblem(f"Saves are not seen any more: {error}") from error
        console.rule()
