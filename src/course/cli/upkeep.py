"""The commands for the machine and for the course itself: doctor, completion, spread."""

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.text import Text

from course.cli.terminal import console, fail
from course.content import spread as spreading
from course.content.chapters import ROOT
from course.doctor import findings as examination
from course.processes import ProjectProblem

Shell = Literal["bash", "zsh", "fish"]


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


def completion(
    shell: Annotated[Shell, typer.Argument(help="The shell that is to complete.")],
) -> None:
    """Print what makes the Tab key complete ./course: commands, options and chapters.

    Example: eval "$(./course completion bash)"
    """
    # The way of Click and Typer: asked by this variable, the program prints the script.
    env = {**os.environ, "_COURSE_COMPLETE": f"source_{shell}"}
    command = [sys.executable, "-P", "-m", "course"]
    script = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    # zsh and fish go by a command's last part, whatever path was typed.
    print(re.sub(r"(compdef \w+|--command) \./course", r"\1 course", script).strip())


def record(
    name: Annotated[
        str, typer.Argument(help="Its name, or how several begin: 01. None: those that are stale.")
    ] = "",
) -> None:
    """Run the chapters and their steps, and record what the lessons quote of it.

    Example: ./course record 01.2
    """
    if not find_spec("pytest"):
        raise fail("The test kit runs the chapters. Run ./course test once: it installs it.")
    from course.site.record import record as make
    from course.site.record_pubsub import RecordProblem

    try:
        make(name, lambda done: console.print(f"{done.file.relative_to(ROOT)}", markup=False))
    except (RecordProblem, ProjectProblem) as problem:
        raise fail(problem) from None


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
