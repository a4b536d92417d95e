"""The commands, and nothing else."""

from importlib.util import find_spec
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from course.cli.bench import bench_app, race
from course.cli.learn import learn
from course.cli.run import PASSES_ON, WithBareWires, lab, run, run_tests
from course.cli.terminal import StateArgument, console, fail
from course.cli.upkeep import completion, doctor, record, spread
from course.cli.work import check, export, grade, hint, start
from course.content.chapters import UnknownChapter, all_chapters
from course.content.diff import changes
from course.content.steps import find_state
from course.site.build import mkdocs, take_screenshots
from course.work import folder as work
from course.work.progress import Progress

app = typer.Typer(
    no_args_is_help=False,
    add_completion=False,  # would install for a command on PATH; see `completion`
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def chapters(context: typer.Context) -> None:
    """WebSockets and Celery: a course in six chapters. Without a command: the chapters.

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


def show_diff(
    before: StateArgument,
    after: StateArgument,
    wires: Annotated[
        bool, typer.Option("--wires", help="Two recorded runs beside each other, not the files.")
    ] = False,
) -> None:
    """Show what changes from one chapter or step to another, file by file, each with its reason.

    Example: ./course diff 03 04
    Example: ./course diff 01.1 01.2
    Example: ./course diff 04 05 --wires
    """
    try:
        states = find_state(before), find_state(after)
        if wires:
            return show_wires(*map(str, states))
        found = changes(*states)
    except UnknownChapter as problem:
        raise fail(problem) from None
    for change in found:
        reason = f": {change.reason}" if change.reason else ""
        console.print(Text.assemble((f"\n{change.kind} {change.path}", "bold"), reason))
        if change.kind != "gone":
            for line in change.lines:
                style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
                console.print(Text(line, style), soft_wrap=True)


def show_wires(before: str, after: str) -> None:
    """Two recorded runs, each event beside its counterpart; what only one has is coloured."""
    from course.site.wires import NoRecordedRun, beside

    try:
        rows = beside(before, after)
    except NoRecordedRun as problem:
        raise fail(problem) from None
    table = Table(before, after, box=None, pad_edge=False)
    for left, right in rows:
        table.add_row(Text(left, "" if right else "red"), Text(right, "" if left else "green"))
    console.print(table)


app.command(cls=WithBareWires)(run)
app.command("test", context_settings=PASSES_ON)(run_tests)
app.command(context_settings=PASSES_ON)(lab)
app.command()(docs)
app.command("diff")(show_diff)
for command in (learn, start, check, hint, grade, export, race, doctor, completion, spread, record):
    app.command()(command)
app.add_typer(bench_app, name="bench")
