"""The commands, and nothing else."""

import os
import subprocess
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from course import doctor as examination
from course.bench.commands import bench_app, race
from course.chapters import ROOT, UnknownChapter, all_chapters, find_chapter
from course.diff import changes
from course.processes import ProjectProblem, RedisProblem
from course.runner import run_project

app = typer.Typer(
    help="WebSockets and Celery: a course in five chapters.",
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(bench_app, name="bench")
app.command()(race)
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
        str | None,
        typer.Argument(help="A chapter's number or name, or `notebooks`. None: every test."),
    ] = None,
) -> None:
    """Run every test, or those of one chapter or the notebooks. What follows goes to pytest.

    Example: ./course test 05 -k websocket
    """
    options = list(context.args)
    paths: list[str] = []
    if not chapter:
        options += ["-n", "2"]
    if chapter and chapter.startswith("-"):
        options.insert(0, chapter)
    elif chapter == "notebooks":
        paths = [str(ROOT / "tests" / "test_notebooks.py")]
    elif chapter:
        try:
            paths = [str(find_chapter(chapter).folder)]
        except UnknownChapter as problem:
            raise fail(problem) from None
    command = [sys.executable, "-m", "pytest", *paths, *options]
    raise typer.Exit(subprocess.run(command, cwd=ROOT, env=os.environ, check=False).returncode)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def lab(context: typer.Context) -> None:
    """Open JupyterLab on the notebooks. What follows goes to JupyterLab; Ctrl-C ends it.

    Example: ./course lab --no-browser --port 8899
    """
    command = [sys.executable, "-m", "jupyterlab", str(ROOT / "notebooks"), *context.args]
    if os.geteuid() == 0:  # in a container; it listens on loopback, and asks for a token
        command.append("--allow-root")
    # This Python's own kernel, whatever kernels the user has elsewhere.
    env = {**os.environ, "JUPYTER_PREFER_ENV_PATH": "1"}
    env.pop("JUPYTER_PATH", None)
    os.execve(command[0], command, env)


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
