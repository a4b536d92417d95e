"""The commands that run something: run, test, lab."""

import itertools
import os
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from course.cli.terminal import console, fail, states
from course.content.chapters import ROOT, UnknownChapter
from course.content.steps import STEP_NAME, Step, find_state, ideas_up_to
from course.processes import ProjectProblem, RedisProblem
from course.processes.run import Options, Runner
from course.work.folder import WorkProblem, project_to_run

WAYS = ("page", "text")  # to show the wires
PASSES_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


# Tests mostly wait, for processes that start and for tasks that end: more of them than cores.
TEST_OPTIONS = ["-q", "--progress", "--tb=short"]
TEST_OPTIONS += ["--numprocesses", str(min(8, 1 + 2 * (os.cpu_count() or 2)))]


class WithBareWires(TyperCommand):
    """`--wires` may stand without a value: then it is `--wires=page`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        pairs = itertools.pairwise([*args, ""])
        given = [
            f"--wires={WAYS[0]}" if arg == "--wires" and value not in WAYS else arg
            for arg, value in pairs
        ]
        return list(super().parse_args(ctx, given))


def run(
    project: Annotated[
        str | None,
        typer.Argument(
            metavar="[CHAPTER|STEP|work|DIR]",
            help="A chapter's number or name, a step (04.2), `work`, or a folder with a project. "
            "None: inside work/ that, elsewhere chapter 5.",
            autocompletion=lambda: [*states(), "work"],
        ),
    ] = None,
    port: Annotated[int, typer.Option(help="The page's port.", min=1, max=65535)] = 8010,
    newsletter_port: Annotated[
        int, typer.Option(help="The newsletter service's port.", min=1, max=65535)
    ] = 8011,
    open_page: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in the browser.")
    ] = True,
    watch: Annotated[
        bool | None,
        typer.Option(
            "--watch/--no-watch",
            help="Restart on each save of a file. [default: not for a chapter]",
            show_default=False,
        ),
    ] = None,
    wires: Annotated[
        str,
        typer.Option(
            metavar="[page|text]",
            help="Show what passes between the processes: on a page of its own, or as text.",
        ),
    ] = "",
) -> None:
    """Run all processes of a chapter, or of your own work, under one log; Ctrl-C ends them all.

    Your work is restarted on each save; a process that ends on an error waits for the next save.
    Example: ./course run 01 --port 8020
    Example: ./course run work
    Example: ./course run 05 --wires
    """
    if wires and wires not in WAYS:
        raise fail(f"--wires={wires} is not known: it is {' or '.join(WAYS)}.", 2)
    new_wires = None
    if wires:
        from course.wires.running import shown_wires

        new_wires = partial(shown_wires, wires)
    try:
        with project_to_run(project) as meant:
            watches = not meant.is_ours if watch is None else watch
            made = meant.folder.parent if meant.is_temporary else None
            options = Options(port, newsletter_port, open_page, watches, new_wires, made)
            code = Runner(meant.folder, options).run()
    except (UnknownChapter, WorkProblem, ProjectProblem, RedisProblem) as problem:
        raise fail(problem) from None
    raise typer.Exit(code)


def run_tests(
    context: typer.Context,
    chapter: Annotated[
        str | None,
        typer.Argument(
            help="A chapter's number or name, a step (04.2), or `notebooks`. None: every test.",
            autocompletion=lambda: [*states(), "notebooks"],
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
            state = find_state(chapter)
            if isinstance(state, Step):
                paths = [idea.node for idea in ideas_up_to(state)]
                options = ["--project", str(state), *options]
            else:
                paths = [str(state.folder.relative_to(ROOT))]
        except UnknownChapter as problem:
            raise fail(problem) from None
    os.chdir(ROOT)
    project = value_of("--project", context.args)
    if project and not STEP_NAME.fullmatch(project) and not Path(project).is_dir():
        raise fail(f"There is no folder {project} to test.")
    console.print(f"Testing {project or ', '.join(paths) or 'everything'}.", soft_wrap=True)
    command = [sys.executable, "-m", "pytest", *TEST_OPTIONS, *(["-m", ""] if all_tests else [])]
    command += [*paths, *options]
    os.execv(command[0], command)  # a parent would kill it a moment after Ctrl-C, half-way


def value_of(option: str, arguments: list[str]) -> str:
    """What follows this option, or stands behind its `=`; empty if it is not given."""
    for argument, following in itertools.pairwise([*arguments, ""]):
        if argument == option:
            return following
        if argument.startswith(f"{option}="):
            return argument.removeprefix(f"{option}=")
    return ""


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
