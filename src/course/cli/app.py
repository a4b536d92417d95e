"""The commands, and nothing else."""

import os
import sys
from importlib.util import find_spec
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from course.cli.bench import bench_app, race
from course.cli.terminal import ChapterArgument, console, fail, numbers
from course.cli.upkeep import completion, doctor, spread
from course.cli.work import check, grade, hint, start
from course.content.chapters import ROOT, UnknownChapter, all_chapters, find_chapter
from course.content.diff import changes
from course.processes import ProjectProblem, RedisProblem
from course.processes.run import run_project
from course.site.build import mkdocs, take_screenshots
from course.work import folder as work
from course.work.progress import Progress

# Tests mostly wait, for processes that start and for tasks that end: more of them than cores.
TEST_OPTIONS = ["-q", "--progress", "--numprocesses", str(min(8, 2 * (os.cpu_count() or 2)))]

app = typer.Typer(
    no_args_is_help=False,
    add_completion=False,  # would install for a command on PATH; see `completion`
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def chapters(context: typer.Context) -> None:
    """WebSockets and Celery: a course in five chapters. Without a command: the chapters.

    Example: ./course run 05
    """
    if context.invoked_subcommand:
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("Chapter")
    table.add_column("What works now")
    has_work = work.WORK.is_dir()
    if has_work:
        table.add_column("Your work", no_wrap=True)
        progress = Progress.read(work.WORK)
    for chapter in all_chapters():
        done = [progress.summary(chapter)] if has_work else []
        table.add_row(f"[bold]{chapter}[/]", chapter.summary, *done)
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
        typer.Argument(
            help="A chapter's number or name, or `notebooks`. None: every test.",
            autocompletion=lambda: [*numbers(), "notebooks"],
        ),
    ] = None,
    locks: Annotated[
        str, typer.Option(help="The versions that are `taught`, or the `current` ones.")
    ] = "taught",
    python: Annotated[str, typer.Option(help="Another Python of this machine: 3.13.")] = "",
    all_tests: Annotated[
        bool, typer.Option("--all", help="Faults, load, abuse and hundreds of variants, too.")
    ] = False,
) -> None:
    """Run every test, or those of one chapter or the notebooks. What follows goes to pytest.

    Several at a time; -n 0 runs one after another. With --locks and --python in an environment of
    its own, beside .venv.
    Example: ./course test 05 -k websocket
    Example: ./course test 05 --all
    Example: ./course test 04 --locks current --python 3.13
    """
    del locks, python  # ./course has chosen the environment by them
    options = list(context.args)
    paths: list[str] = []
    if chapter and chapter.startswith("-"):
        options.insert(0, chapter)
    elif chapter == "notebooks":
        paths = [str(ROOT / "tests" / "test_notebooks.py")]
    elif chapter:
        try:
            paths = [str(find_chapter(chapter).folder.relative_to(ROOT))]
        except UnknownChapter as problem:
            raise fail(problem) from None
    command = [sys.executable, "-m", "pytest", *TEST_OPTIONS, *(["-m", ""] if all_tests else [])]
    command += [*paths, *options]
    os.chdir(ROOT)
    os.execv(command[0], command)  # a parent would kill it a moment after Ctrl-C, half-way


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def lab(context: typer.Context) -> None:
    """Open JupyterLab on the notebooks. What follows goes to JupyterLab; Ctrl-C ends it.

    Example: ./course lab --no-browser --port 8899
    """
    command = [sys.executable, "-P", "-m", "jupyterlab", str(ROOT / "notebooks"), *context.args]
    if os.geteuid() == 0:  # in a container; it listens on loopback, and asks for a token
        command.append("--allow-root")
    # This Python's own kernel, whatever kernels the user has elsewhere.
    env = {**os.environ, "JUPYTER_PREFER_ENV_PATH": "1"}
    env.pop("JUPYTER_PATH", None)
    if env.get("NO_COLOR"):
        env["TERM"] = "dumb"  # JupyterLab's log asks for nothing else
    os.execve(command[0], command, env)


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
    mkdocs(*(["build", "--strict"] if build else ["serve", "--strict", "--dev-addr", address]))


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


for command in (start, check, hint, grade, race, doctor, completion, spread):
    app.command()(command)
app.add_typer(bench_app, name="bench")
