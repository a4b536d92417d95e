"""`./course check`: once, or again on each save."""

from pathlib import Path

from rich.console import Console
from watchfiles import DefaultFilter
from watchfiles import watch as changes_in

from course.chapters import Chapter
from course.check import Decision, Result, check
from course.ideas import ideas_of
from course.telling import as_data, line_of, say_outcome
from course.work import STATE, WORK, Progress

__all__ = ["as_data", "check_once", "watch"]


def check_once(console: Console, chapter: Chapter, project: Path, quiet: bool = False) -> Result:
    """Check the project and say what holds. In work/ the progress is kept."""

    def say(decision: Decision) -> None:
        if not quiet:
            console.print(line_of(decision), soft_wrap=True)

    if not quiet:
        console.print(f"Checking chapter {chapter}: it takes some 15 seconds.\n")
    result = check(ideas_of(chapter), project, say)
    # A project that was not begun with `start` is somebody's: nothing is written to it.
    if not result.problem and (project == WORK.resolve() or (project / STATE).exists()):
        first = result.first_failed
        passed = [decision.idea.key for decision in result.of("passed")]
        Progress.read(project).note(chapter, passed, first.idea.key if first else None)
    if not quiet and not result.problem:
        say_outcome(console, chapter, project, result)
    return result


class Sources(DefaultFilter):
    """What a save changes: not what a check itself writes."""

    def __call__(self, change: object, path: str) -> bool:
        is_own = Path(path).name.startswith(Path(STATE).stem)
        return not is_own and super().__call__(change, path)  # type: ignore[arg-type]


def watch(console: Console, chapter: Chapter, project: Path) -> None:
    """Check, and again on each save, until Ctrl-C."""
    result = check_once(console, chapter, project)
    while True:
        if result.problem:
            console.print(f"\n{result.problem}", soft_wrap=True)
        console.print("\nWaiting for a save. Ctrl-C ends this.")
        next(changes_in(project, watch_filter=Sources(), raise_interrupt=True, rust_timeout=1000))
        console.rule()
        result = check_once(console, chapter, project)
