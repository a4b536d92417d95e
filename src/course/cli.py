"""The commands, and nothing else."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from course import doctor as examination
from course import spread as spreading
from course import work
from course.bench.commands import bench_app, race
from course.chapters import ROOT, UnknownChapter, all_chapters, find_chapter
from course.diff import changes
from course.exercises import UnknownExercise, find_work, ideas_to_check
from course.processes import ProjectProblem, RedisProblem
from course.runner import run_project
from course.site_tools import mkdocs, take_screenshots

app = typer.Typer(
    no_args_is_help=False,
    add_completion=False,  # would install for a command on PATH; see `completion`
    pretty_exceptions_enable=False,
)
app.add_typer(bench_app, name="bench")
app.command()(race)
console = Console(highlight=False)


Shell = Literal["bash", "zsh", "fish"]


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
        progress = work.Progress.read(work.WORK)
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
) -> None:
    """Run every test, or those of one chapter or the notebooks. What follows goes to pytest.

    With --locks and --python in an environment of its own, beside .venv.
    Example: ./course test 05 -k websocket
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
    what = ["build", "--strict"] if build else ["serve", "--strict", "--dev-addr", address]
    raise typer.Exit(mkdocs(*what))


@app.command()
def start(
    chapter: ChapterArgument,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Move the work that is there to a dated folder first.")
    ] = False,
) -> None:
    """Begin work/ as the chapter before left off. Work that is there already is never overwritten.

    Example: ./course start 04
    """
    try:
        found = find_chapter(chapter)
        aside = work.start(found, fresh)
    except (UnknownChapter, work.WorkProblem, OSError) as problem:
        raise fail(problem) from None
    if aside:
        console.print(f"Your work up to now is in {work.shown(aside)}.", soft_wrap=True)
    console.print(
        f"work/ is ready for chapter {found}. Read chapters/{found}/README.md, change the code in "
        f"work/, and see how far it is with ./course check {found.number}.",
        soft_wrap=True,
    )


ProjectOption = Annotated[
    Path | None, typer.Option("--project", metavar="DIR", help="A project other than work/.")
]
ExerciseOption = Annotated[
    int | None, typer.Option("--exercise", metavar="N", help="An exercise of the chapter.")
]


@app.command()
def check(
    chapter: ChapterArgument,
    exercise: ExerciseOption = None,
    project: ProjectOption = None,
    watch: Annotated[bool, typer.Option("--watch", help="Check again on each save.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Check your work against a chapter's ideas, one by one, or against those of an exercise.

    Ends with 0 if all hold, with 1 if one does not, with 2 if the work could not be checked.
    Example: ./course check 04 --exercise 2 --watch
    """
    from course import checking

    try:
        found, folder = find_work(chapter, exercise), work.project_folder(project)
        with ended_by_signals():
            if watch:
                checking.watch(console, found, folder)
            result = checking.check_once(console, found, folder, quiet=as_json)
    except (UnknownChapter, UnknownExercise, work.WorkProblem) as problem:
        raise fail(problem) from None
    except KeyboardInterrupt:
        raise fail("Interrupted. Everything that was started has been ended.", 130) from None
    if as_json:
        sys.stdout.write(json.dumps(checking.as_data(found, folder, result), indent=2) + "\n")
    elif result.problem:
        raise fail(result.problem)
    raise typer.Exit(result.exit_code)


@app.command()
def hint(
    chapter: ChapterArgument, exercise: ExerciseOption = None, project: ProjectOption = None
) -> None:
    """Give the next hint for the first idea that failed in the last check.

    Example: ./course hint 04 --exercise 2
    """
    from course.hints import HINTS_EACH, NoHint, next_hint

    try:
        found, folder = find_work(chapter, exercise), work.project_folder(project)
        ideas = {idea.key: idea for idea in ideas_to_check(found)}
        files = {key: idea.file for key, idea in ideas.items()}
        key, number, text = next_hint(found, files, work.Progress.read(folder))
    except (UnknownChapter, UnknownExercise, work.WorkProblem, NoHint) as problem:
        raise fail(problem) from None
    console.print(Text(ideas[key].text, "bold"), soft_wrap=True)
    console.print(Text(f"Hint {number} of {HINTS_EACH}: {text.strip()}"), soft_wrap=True)


@app.command()
def grade(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of projects.")],
    chapter: Annotated[
        str | None, typer.Option(help="Check this chapter. None: find the highest that passes.")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Projects at a time.", min=1, max=16)] = 2,
    out: Annotated[Path, typer.Option(help="Results as CSV; JUnit XML beside it.")] = Path(
        "results.csv"
    ),
) -> None:
    """Check every project in a folder: a table, CSV and JUnit XML. Goes on where it was ended.

    This runs the students' code, with your rights, on this machine. Each project gets a copy, a
    Redis and limits of its own, which keeps accidents apart; they are no wall against malice. For
    code you would not run yourself, grade in a container or a virtual machine.
    Example: ./course grade submissions/ --chapter 04
    """
    from course.grading import grade_folder
    from course.results import ResultsProblem

    try:
        found = find_chapter(chapter) if chapter else None
        with ended_by_signals():
            grade_folder(console, folder, found, jobs, out)
    except (UnknownChapter, work.WorkProblem, ResultsProblem) as problem:
        raise fail(problem) from None
    except KeyboardInterrupt:
        words = f"Interrupted. What was done is in {out}; the same command goes on from there."
        raise fail(words, 130) from None


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


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Look for what the course needs on this machine, and say how to get what is missing.

    Ends with 1 if something is missing that the course cannot do without (✗), else with 0.
    Example: ./course doctor
    """
    findings = examination.examine()
    if as_json:
        sys.stdout.write(json.dumps(examination.as_data(findings), indent=2) + "\n")
    else:
        examination.show(findings, console)
    raise typer.Exit(0 if examination.is_well(findings) else 1)


@app.command()
def completion(
    shell: Annotated[Shell, typer.Argument(help="The shell that is to complete.")],
) -> None:
    """Print what makes the Tab key complete ./course: commands, options and chapters.

    Example: eval "$(./course completion bash)"
    """
    # The way of Click and Typer: asked by this variable, the program prints the script.
    env = {**os.environ, "_COURSE_COMPLETE": f"source_{shell}"}
    command = [sys.executable, "-m", "course"]
    script = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    # zsh and fish go by a command's last part, whatever path was typed.
    print(re.sub(r"(compdef \w+|--command) \./course", r"\1 course", script).strip())


@app.command()
def spread(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file of a chapter.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say it only.")] = False,
) -> None:
    """Carry a change to a file into the chapters in which that file was the same before.

    What was the same is asked of git's last commit; files that differ on purpose are left alone.
    Example: ./course spread chapters/05-celery-signals/main.py --dry-run
    """
    try:
        copies = spreading.spread(file, dry_run)
    except spreading.SpreadProblem as problem:
        raise fail(problem) from None
    for copy in copies:
        fate = "would be changed" if copy.is_behind and dry_run else copy.fate
        console.print(Text(f"{copy.path}: {fate}"), soft_wrap=True)


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
