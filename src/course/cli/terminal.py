"""What the commands share: where they print, and how they fail."""

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from course.content.chapters import all_chapters

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
    words = f"[red]Error:[/] {escape(str(problem))}"
    Console(stderr=True, highlight=False).print(words, soft_wrap=True)
    return typer.Exit(code)
