"""What a check says on the terminal, and as JSON."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from course.content.exercises import Exercise, Work
from course.work.folder import WORK, shown
from course.work.progress import STATE
from course.work.session import FAILED, NOT_REACHED, PASSED, SKIPPED, Decision, Result

MARKS = {
    PASSED: ("✓", "green"),
    FAILED: ("✗", "red"),
    SKIPPED: ("?", "yellow"),
    NOT_REACHED: ("·", "dim"),
}


def line_of(decision: Decision) -> Text:
    mark, style = MARKS[decision.state]
    rest = "" if decision.state in (PASSED, FAILED) else f" ({reason(decision)})"
    return Text.assemble((f"{mark} ", style), decision.idea.text, (rest, "dim"))


def reason(decision: Decision) -> str:
    return "not checked: no browser" if decision.state == SKIPPED else "not reached"


def say_outcome(console: Console, what: Work, project: Path, result: Result) -> None:
    """What comes after the lines: what was not reached, the first failure, and how to go on."""
    for decision in result.of(NOT_REACHED) if not result.problem else []:
        console.print(line_of(decision), soft_wrap=True)
    if first := result.first_failed:
        console.print()
        say_failure(console, first, project)
        if (project / STATE).exists():
            where = "" if project == WORK.resolve() else f" --project {shown(project)}"
            console.print(f"\nThe next hint: ./course hint {what.arguments}{where}")
    passed, all_of_them = len(result.of(PASSED)), len(result.decisions)
    title = what.title[0].upper() + what.title[1:]
    console.print(f"\n{title}: {passed} of {all_of_them} ideas hold ({result.seconds:.0f} s).")
    if result.of(SKIPPED):
        console.print(
            f"{len(result.of(SKIPPED))} could not be checked, as no Chromium was found: "
            "./course doctor says how to get one.",
            soft_wrap=True,
        )


def say_failure(console: Console, failed: Decision, project: Path) -> None:
    details = failed.details
    console.print(Text.assemble(("✗ ", "red"), (failed.idea.text, "bold")), soft_wrap=True)
    for label, key in (("expected", "expected"), ("seen", "seen"), ("usually", "usually")):
        if details.get(key):
            console.print(Text(f"  {label + ':':<10}{details[key]}"), soft_wrap=True)
    if look_at := details.get("look_at"):
        console.print(Text(f"  {'look at:':<10}{file_to_open(look_at, project)}"), soft_wrap=True)
    if (where := details.get("where")) and where != look_at:
        console.print(Text(f"  {'code:':<10}{file_to_open(where, project)}"), soft_wrap=True)
    if details.get("log"):
        name = str(details.get("log_of") or "").split(" ")[0]
        console.print(Text(f"  the {name or 'process'}'s own log, its last lines:", "dim"))
        for line in details["log"]:
            console.print(Text(f"    {line}", "dim"), soft_wrap=True)


def file_to_open(look_at: str, project: Path) -> str:
    """The file, with the line of code if there is a number; said so if the project lacks it."""
    name, _, number = look_at.partition(":")
    file = project / name
    if not file.exists():
        return f"{name} (there in the course's own app; yours may keep it elsewhere)"
    if number.isdigit():
        lines = file.read_text(errors="replace").splitlines()
        code = lines[int(number) - 1].strip() if int(number) <= len(lines) else ""
        return f"{shown(file)}, line {number}: {code}"
    return shown(file)


def as_data(what: Work, project: Path, result: Result) -> dict[str, Any]:
    """The result as JSON holds it."""
    told = ("expected", "seen", "usually", "look_at", "where", "log")
    return {
        "chapter": str(what.chapter) if isinstance(what, Exercise) else str(what),
        "exercise": what.number if isinstance(what, Exercise) else None,
        "project": str(project),
        "seconds": result.seconds,
        "exit_code": result.exit_code,
        "problem": result.problem,
        "ideas": [
            {
                "idea": decision.idea.key,
                "text": decision.idea.text,
                "state": decision.state,
                "seconds": decision.seconds,
                **{key: decision.details[key] for key in told if decision.state == FAILED
                   and key in decision.details},
            }
            for decision in result.decisions
        ],
    }  # fmt: skip
