"""The commands, and nothing else."""

import os
import subprocess
import sys
from importlib.util import find_spec
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from course import doctor as examination
from course.chapters import ROOT, UnknownChapter, all_chapters, find_chapter
from course.diff import changes
from course.processes import ProjectProblem, RedisProblem
from course.runner import run_project
from course.site_tools import mkdocs, take_screenshots

app = typer.Typer(
    help="WebSockets and Celery: a course in five chapters.",
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console(highlight=False)

ChapterArgument = Annotated[
    str, typer.Argument(help="A chapter's number or name: 05 or celery-signals.")
]


def fail(problem: Exception | str, code: int = 2) -> typer.Exit:
    """Print the problem, and return what to raise."""
    Console(stderr=True, highlight=False).print(f"[red]Error:[/] {problem}", soft_wrap=True)
    return typer.Exit(code)


@app.callback(invoke_without_command=True)
def chapters(context: typer.Context) -> None:
    """The chapters, when no command is given."""
    if context.invoked_subcommand:
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("Chapter")
    table.add_column("What works now")
    for chapter in all_chapters():
        table.add_row(f"[bold]{chapter}[/]", chapter.summary)
    console.print(table)
    console.print("\nRun one with [bold]./course run 05[/]; see also [bold]./course --help[/].")


@app.command()
def run(
    chapter: ChapterArgument = "05",
    port: Annotated[int, typer.Option(help="The page's port.", min=1, max=65535)] = 8010,
    newsletter_port: Annotated[
        int, typer.Option(help="The newsletter service's port.", min=1, max=65535)
    ] = 8011,
    open_page: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in the browser.")
    ] = True,
) -> None:
    """Run all processes of a chapter under one log; Ctrl-C ends them all.

    Example: ./course run 01 --port 8020
    """
    try:
        folder = find_chapter(chapter).folder
        code = run_project(folder, port, newsletter_port, open_page)
    except (UnknownChapter, ProjectProblem, RedisProblem) as problem:
        raise fail(problem) from None
    raise typer.Exit(code)


@app.command("test", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run_tests(
    context: typer.Context,
    chapter: Annotated[
        str | None, typer.Argument(help="A chapter's number or name. None: every test.")
    ] = None,
) -> None:
    """Run every test, or those of one chapter. What follows goes to pytest.

    Example: ./course test 05 -k websocket
    """
    options = list(context.args)
    paths: list[str] = []
    if not chapter:
        options += ["-n", "2"]
    if chapter and chapter.startswith("-"):
        options.insert(0, chapter)
    elif chapter:
        try:
            paths = [str(find_chapter(chapter).folder)]
        except UnknownChapter as problem:
            raise fail(problem) from None
    command = [sys.executable, "-m", "pytest", *paths, *options]
    raise typer.Exit(subprocess.run(command, cwd=ROOT, env=os.environ, check=False).returncode)


@app.command()
def docs(
    build: Annotated[bool, typer.Option("--build", help="Write the site to site/.")] = False,
    address: Annotated[
        str, typer.Option(help="Where to serve; 0.0.0.0:8000 lets other machines in.")
    ] = "127.0.0.1:8000",
    screenshots: Annotated[
        bool, typer.Option("--screenshots", help="Take the pictures of the pages anew.")
    ] = False,
) -> None:
    """Serve the site, built anew at each change; or write it to site/.

    Example: ./course docs --build
    """
    if screenshots:
        if not find_spec("pytest"):
            raise fail("The tests take the pictures. Run ./course test once: it installs them.")
        raise typer.Exit(take_screenshots())
    what = ["build", "--strict"] if build else ["serve", "--strict", "--dev-addr", address]
    raise typer.Exit(mkdocs(*what))


@app.command()
def doctor() -> None:
    """Look for what the course needs on this machine, and say how to get what is missing."""
    table = Table(box=None, pad_edge=False, show_header=False)
    findings = examination.examine()
    for finding in findings:
        mark = "[green]✓[/]" if finding.is_good else "[red]✗[/]"
        table.add_row(mark, finding.what, finding.found)
        if not finding.is_good:
            table.add_row("", "", f"[bold]{finding.remedy}[/]")
    console.print(table)
    raise typer.Exit(0 if all(finding.is_good for finding in findings) else 1)


@app.command("diff")
def show_diff(before: ChapterArgument, after: ChapterArgument) -> None:
    """Show what changes from one chapter to another, file by file, each with its reason.

    Example: ./course diff 03 04
    """
    try:
        found = changes(find_chapter(before), find_chapter(after))
    except UnknownChapter as problem:
        raise fail(problem) from None
    for change in found:
        reason = f": {change.reason}" if change.reason else ""
        console.print(Text.assemble((f"\n{change.kind} {change.path}", "bold"), reason))
        if change.kind != "gone":
            for line in change.lines:
                style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
                console.print(Text(line, style), soft_wrap=True)
