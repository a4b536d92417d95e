"""What the commands share: where they print, and how they fail."""

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from course.content.chapters import all_chapters
from course.content.printable import printable
from course.content.steps import start_of, steps_of

console = Console(highlight=False)


def numbers() -> list[str]:
    return [chapter.number for chapter in all_chapters()]


def states() -> list[str]:
    """Every chapter's number, each followed by those of its steps."""
    found = []
    for chapter in all_chapters():
        found.append(chapter.number)
        if steps := steps_of(chapter):
            found += [str(step) for step in (start_of(chapter), *steps)]
    return found


ChapterArgument = Annotated[
    str,
    typer.Argument(
        help="A chapter's number or name: 05 or celery-signals.", autocompletion=numbers
    ),
]

StateArgument = Annotated[
    str,
    typer.Argument(
        help="A chapter's number or name, or a step: 05, celery-signals, 05.2.",
        autocompletion=states,
    ),
]


def fail(problem: Exception | str, code: int = 2) -> typer.Exit:
    """Print the problem, and return what to raise."""
    words = f"[red]Error:[/] {escape(printable(str(problem)))}"
    Console(stderr=True, highlight=False).print(words, soft_wrap=True)
    return typer.Exit(code)
