"""What a check says on the terminal, and as JSON."""

import itertools
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from course.content.chapters import Chapter, all_chapters
from course.content.exercises import Exercise, Work, exercises_of
from course.content.ideas import FAILED, NOT_REACHED, PASSED, SKIPPED, START
from course.content.printable import printable
from course.content.steps import Step, chapter_of, step_of_idea, steps_of
from course.testkit.events import Failure
from course.work.folder import WORK, shown
from course.work.progress import STATE
from course.work.session import Decision, Result

MARKS = {
    PASSED: ("✓", "green"),
    FAILED: ("✗", "red"),
    SKIPPED: ("?", "yellow"),
    NOT_REACHED: ("·", "dim"),
}
MOST_LINES = 10  # of one message
MOST_CAUSES = 3  # that are explained
LONGEST = 300  # characters of one line


def line_of(decision: Decision, step: Step | None) -> Text:
    """The idea, how it was decided, and the step of the lesson that brings it."""
    mark, style = MARKS[decision.state]
    said = reason(decision)
    rest = f" ({said})" if said else ""
    which = f"  {step}" if step else ""
    return Text.assemble((f"{mark} ", style), decision.idea.text, (rest + which, "dim"))


def reason(decision: Decision) -> str:
    unsettled = {SKIPPED: "not checked: no browser", NOT_REACHED: "not reached"}
    return unsettled.get(decision.state, decision.remark)


class Lines:
    """A line for each idea as it is decided; one for all that hold from before."""

    def __init__(self, console: Console, what: Work, is_verbose: bool) -> None:
        self.console, self.what, self.is_verbose = console, what, is_verbose
        self.holding = self.not_reached = 0  # that have no line of their own yet

    def say(self, decision: Decision) -> None:
        if self.is_verbose:
            self.say_line(decision)
        elif decision.state == NOT_REACHED:
            self.not_reached += 1
        elif is_expected(decision):
            self.holding += 1
        else:
            self.say_holding()
            self.say_line(decision)

    def say_line(self, decision: Decision) -> None:
        step = None
        if not isinstance(self.what, Exercise):
            step = step_of_idea(chapter_of(self.what), decision.idea.key)
        self.console.print(line_of(decision, step), soft_wrap=True)

    def say_holding(self) -> None:
        if self.holding:
            is_one = self.holding == 1
            ideas = "1 given idea holds" if is_one else f"{self.holding} given ideas hold"
            self.say_many(PASSED, ideas)
        self.holding = 0

    def end(self) -> None:
        self.say_holding()
        if self.not_reached:
            s = "" if self.not_reached == 1 else "s"
            self.say_many(NOT_REACHED, f"{self.not_reached} idea{s} after that (not reached)")

    def say_many(self, state: str, ideas: str) -> None:
        mark, style = MARKS[state]
        self.console.print(Text.assemble((f"{mark} ", style), ideas))


def is_expected(decision: Decision) -> bool:
    """Of an idea that holds from an earlier chapter, and has nothing to say."""
    idea, is_plain = decision.idea, decision.state == PASSED and not decision.remark
    return is_plain and not idea.is_new and idea.key != START


def say_outcome(
    console: Console,
    what: Work,
    project: Path,
    result: Result,
    is_verbose: bool = False,
) -> None:
    """What comes after the lines: why each idea fails, the counts, and how to go on."""
    causes = by_cause(result.of(FAILED))
    shown_causes = causes if is_verbose else causes[:MOST_CAUSES]
    for same in shown_causes:
        console.print()
        for text in message(same, project, is_verbose):
            console.print(text, soft_wrap=True)
    if rest := sum(len(same) for same in causes[len(shown_causes) :]):
        console.print(f"\n{rest} more fail: mend these first, or see all with --verbose.")
    where = "" if project == WORK.resolve() else f" --project {shown(project)}"
    if result.first_failed and (project / STATE).exists():
        console.print(f"\nThe next hint: ./course hint {what.arguments}{where}")
    title = what.title[0].upper() + what.title[1:]
    console.print(f"\n{title}: {counts(result)} ({result.seconds:.1f} s).", soft_wrap=True)
    if skipped := len(result.of(SKIPPED)):
        console.print(
            f"{skipped} could not be checked, as no Chromium was found: "
            "./course doctor says how to get one.",
            soft_wrap=True,
        )
    elif not result.first_failed:
        console.print(f"Next: {next_command(what, where)}", soft_wrap=True)


def counts(result: Result) -> str:
    """For example: 3 of 9 new ideas hold; 28 given ones hold. Or: 38 given ideas hold."""
    new = [decision for decision in result.decisions if decision.idea.is_new]
    given = [decision for decision in result.decisions if not decision.idea.is_new]
    hold = [decision for decision in new if decision.state == PASSED]
    good = sum(decision.state == PASSED for decision in given)
    given_hold = f"{good}{'' if good == len(given) else f' of {len(given)}'} given"
    if not new:
        return f"{given_hold} ideas hold"
    if not given:
        return f"{len(hold)} of {len(new)} ideas hold"
    return f"{len(hold)} of {len(new)} new ideas hold; {given_hold} ones hold"


def next_command(what: Work, where: str) -> str:
    """What a reader does after green."""
    if isinstance(what, Exercise):
        later = [e for e in exercises_of(what.chapter) if e.number > what.number]
        if later:
            return f"./course check {later[0].arguments}{where}"
    if isinstance(what, Step):
        later_steps = [step for step in steps_of(what.chapter) if step.number > what.number]
        if later_steps:
            step = later_steps[0]
            return f'"{step.name}" in {lesson_of(what.chapter)}, then ./course check {step}{where}'
        return f"./course check {what.chapter.number}{where}"
    chapter = what.chapter if isinstance(what, Exercise) else what
    after = [one for one in all_chapters() if one.number > chapter.number]
    if after:
        return f"read {lesson_of(after[0])}, then ./course check {after[0].number}{where}"
    if isinstance(what, Chapter) and (exercises := exercises_of(chapter)):
        return f"./course check {exercises[0].arguments}{where}"
    return "./course bench"


def lesson_of(chapter: Chapter) -> str:
    return f"docs/lessons/{chapter.number}.md"


def by_cause(failed: list[Decision]) -> list[list[Decision]]:
    """Those that fail for the same reason together, under the first of them."""
    found: dict[str, list[Decision]] = {}
    for decision in failed:
        cause = decision.failure.cause if decision.failure else ""
        found.setdefault(cause or decision.idea.key, []).append(decision)
    return list(found.values())


def message(same: list[Decision], project: Path, is_verbose: bool) -> list[Text]:
    """Why these ideas fail: the first one's reason, and the names of the others."""
    failure = same[0].failure or Failure("", "")
    lines = [Text.assemble(("✗ ", "red"), (same[0].idea.text, "bold"))]
    for label, texts in (
        ("expected:", [failure.expected]),
        ("seen:", [failure.seen]),
        ("because:", [*failure.because, failure.usually]),
        ("look at:", [file_to_open(failure.look_at, project)] if failure.look_at else []),
    ):
        texts = [text for text in texts if text]
        for number, text in enumerate(texts):
            shown_text = printable(text if is_verbose else on_one_line(text))
            lines.append(Text(f"  {label if number == 0 else '':<10}{shown_text}"))
    also = [f"    {decision.idea.text}" for decision in same[1:]]
    if also:
        lines.append(Text("  For the same reason:"))
        room = len(also) if is_verbose else max(1, MOST_LINES - len(lines) - 1)
        lines += map(Text, also[:room])
        if len(also) > room:
            lines.append(Text(f"    and {len(also) - room} more"))
    room = len(failure.log) if is_verbose else MOST_LINES - len(lines) - 1
    if failure.log and room > 1 and (is_verbose or ":" not in failure.look_at):
        lines.append(Text(f"  {the_log_of(failure.log_of)}, its last lines:", "dim"))
        for line in failure.log[-room:]:
            text = printable(line if is_verbose else on_one_line(line))
            lines.append(Text(f"    {text}", "dim"))
    if failure.wires:
        lines.append(Text("  what passed between the processes last:", "dim"))
        lines += [Text(f"    {printable(line.strip())}", "dim") for line in failure.wires]
    return lines


def the_log_of(source: str) -> str:
    return source if source.startswith("the ") else f"the {source or 'process'}'s own log"


def on_one_line(text: str) -> str:
    line = " ".join(text.split()) if "\n" in text else text
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} ..."


def file_to_open(look_at: str, project: Path) -> str:
    """The file, with the line of code if there is a number; said so if the project lacks it."""
    name, _, number = look_at.partition(":")
    file = project / name
    if not file.exists():
        return f"{name} (there in the course's own app; yours may keep it elsewhere)"
    if number.isdigit():
        with file.open(errors="replace") as lines:
            code = next(itertools.islice(lines, int(number) - 1, None), "").strip()[:200]
        return f"{shown(file)}, line {number}: {code}"
    return shown(file)


def as_data(what: Work, project: Path, result: Result) -> dict[str, Any]:
    """The result as JSON holds it."""
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
                "is_new": decision.idea.is_new,
                "state": decision.state,
                "seconds": decision.seconds,
                "remark": decision.remark,
                **(asdict(decision.failure) if decision.failure else {}),
            }
            for decision in result.decisions
        ],
    }
