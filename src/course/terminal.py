"""What the commands share: where they print, how they fail, how they are ended."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from course.chapters import all_chapters

console = Console(highlight=False)


def numbers() -> list[str]:
    return [chapter.number for chapter in all_chapters()]


ChapterArgument = Annotated[
    str,
    typer.Argument(
        help="A chapter's number or name: 05 or celery-signals.", autocompletion=numbers
    ),
]


def fail(problem: Exception | str, code: int = 2) -> typer.Exit:
    """Print the problem, and return what to raise."""
    Console(stderr=True, highlight=False).print(f"[red]Error:[/] {problem}", soft_wrap=True)
    return typer.Exit(code)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let SIGTERM and a terminal that is closed end things as Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
