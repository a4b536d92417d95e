"""What the commands `bench` and `race` share: one sentence for a problem, progress, files."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from course.cli.terminal import fail
from course.content.chapters import UnknownChapter, all_chapters, find_chapter
from course.processes.interrupts import ended_by_signals

TEXT_WIDTH = 110  # without a terminal
console = Console(highlight=False, width=None if sys.stdout.isatty() else TEXT_WIDTH)
INTERRUPTED = 130


@contextmanager
def problems_in_one_sentence() -> Iterator[None]:
    """Whatever cannot be measured ends with one sentence; SIGTERM ends it as Ctrl-C does."""
    import redis
    from celery.exceptions import CeleryError

    from course.bench.report import UnwritableFolder
    from course.processes import ProjectProblem, RedisProblem

    try:
        with ended_by_signals():
            yield
    except (UnknownChapter, ProjectProblem, RedisProblem, UnwritableFolder) as problem:
        raise fail(problem) from None
    except redis.RedisError as problem:
        raise fail(
            f"Redis does not answer any more, and the measuring is lost: {problem}"
        ) from None
    except (OSError, CeleryError) as problem:
        raise fail(f"The measuring broke off and is lost: {problem!r}") from None


def chapter_numbers(text: str) -> list[str]:
    """ "1,05" -> ["01", "05"], in order and once each. Raises UnknownChapter."""
    wanted = {find_chapter(name.strip()).number for name in text.split(",") if name.strip()}
    if not wanted:
        names = ", ".join(str(chapter) for chapter in all_chapters())
        raise UnknownChapter(f"Name at least one chapter. The chapters are {names}.")
    return sorted(wanted)


def sizes_of(text: str) -> list[int]:
    """ "100,500" -> [100, 500]. Raises typer.BadParameter."""
    try:
        sizes = sorted({int(size) for size in text.split(",")})
    except ValueError:
        sizes = []
    if not sizes or sizes[0] < 1:
        raise typer.BadParameter(f"{text!r} is no list of numbers above 0, such as 100,500.")
    return sizes


class Steps:
    """A progress bar; without a terminal, a line for each step."""

    def __init__(self, total: int) -> None:
        count, text = TextColumn("{task.completed}/{task.total}"), TextColumn("{task.description}")
        columns = (BarColumn(), count, TimeElapsedColumn(), text)
        self.progress = Progress(
            *columns, console=console, transient=True, disable=not console.is_terminal
        )
        self._task = self.progress.add_task("", total=total)
        self._begun = False

    def __call__(self, text: str) -> None:
        if not console.is_terminal:
            console.print(f"... {text}")
        self.progress.update(self._task, description=text, advance=1 if self._begun else 0)
        self._begun = True


@dataclass
class Measuring:
    """A measurement under way."""

    is_complete: bool = False


@contextmanager
def kept_when_interrupted(is_worth_keeping: Callable[[], bool]) -> Iterator[Measuring]:
    """Ctrl-C: go on with what there is, which is not complete, or say that there is nothing."""
    measuring = Measuring()
    try:
        yield measuring
        measuring.is_complete = True
    except KeyboardInterrupt:
        if not is_worth_keeping():
            sentence = "Interrupted before the first run had ended: nothing is kept."
            raise fail(sentence, INTERRUPTED) from None
        console.print("[yellow]Interrupted.[/] What was measured until then:\n")


def finish(title: str, headings: list[str], rows: list[list[str]], machine: dict[str, Any]) -> None:
    from course.bench.report import machine_line, print_table

    print_table(title, headings, rows, console)
    console.print(machine_line(machine), style="dim")


def write_part(
    folder: Path,
    name: str,
    results: dict[str, Any],
    tables: list[tuple[str, list[str], list[list[str]]]],
) -> None:
    from course.bench.report import machine_line, plain_markdown, write_json

    write_json(folder / f"{name}.json", results)
    note = machine_line(results["machine"])
    text = "\n".join(plain_markdown(title, heads, rows, note) for title, heads, rows in tables)
    (folder / f"{name}.md").write_text(text)
    console.print(f"\nWritten to {folder}: {name}.json and {name}.md.", soft_wrap=True)


def write_all(results: dict[str, Any], folder: Path) -> None:
    from course.bench.plots import write_plots
    from course.bench.report import as_markdown, write_json

    write_json(folder / "results.json", results)
    (folder / "table.md").write_text(as_markdown(results))
    write_plots(results, folder)
    console.print(f"\nWritten to {folder}: results.json, table.md and the plots.", soft_wrap=True)
