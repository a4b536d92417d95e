"""`./course check`: once, or again on each save."""

from contextlib import suppress
from pathlib import Path

from rich.console import Console
from watchfiles import Change, DefaultFilter
from watchfiles import watch as changes_in

from course.content.exercises import Work, ideas_to_check
from course.work.folder import WORK
from course.work.output import as_data, line_of, say_outcome
from course.work.progress import STATE, Progress
from course.work.session import Decision, Result, check

__all__ = ["as_data", "check_once", "watch"]


def check_once(console: Console, what: Work, project: Path, quiet: bool = False) -> Result:
    """Check the project and say what holds. In work/ the progress is kept."""

    def say(decision: Decision) -> None:
        if not quiet:
            console.print(line_of(decision), soft_wrap=True)

    if not quiet:
        console.print(f"Checking {what.title}: it takes some {what.seconds} seconds.\n")
    result = check(ideas_to_check(what), project, say, lanes=what.lanes)
    # A project that was not begun with `start` is somebody's: nothing is written to it.
    if not result.problem and (project == WORK.resolve() or (project / STATE).exists()):
        first = result.first_failed
        passed = [decision.idea.key for decision in result.of("passed")]
        Progress.read(project).note(what, passed, first.idea.key if first else None)
    if not quiet and not result.problem:
        say_outcome(console, what, project, result)
    return result


def stamps(project: Path) -> dict[str, float]:
    """When each source file was last saved; what a check itself writes is left out."""
    found = {}
    is_source = DefaultFilter()
    for path in project.rglob("*"):
        is_own = path.name.startswith(Path(STATE).stem)
        if not is_own and is_source(Change.modified, str(path)):
            with suppress(OSError):
                if path.is_file():
                    found[str(path)] = path.stat().st_mtime
    return found


def watch(console: Console, what: Work, project: Path) -> None:
    """Check, and again on each save, a save during the check included, until Ctrl-C."""
    while True:
        before = stamps(project)
        result = check_once(console, what, project)
        if result.problem:
            console.print(f"\n{result.problem}", soft_wrap=True, markup=False)
        console.print("\nWaiting for a save. Ctrl-C ends this.")
        for _ in changes_in(project, raise_interrupt=True, yield_on_timeout=True, rust_timeout=500):
            if stamps(project) != before:
                break
        console.rule()
