"""The commands for a student's own work: start, check, hint, grade."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from course.cli.terminal import ChapterArgument, StateArgument, console, fail
from course.content.chapters import UnknownChapter, find_chapter
from course.content.exercises import UnknownExercise, find_work, ideas_to_check
from course.content.steps import Step, chapter_of, find_state, steps_of
from course.grade import exports as exporting
from course.grade.exports import Format
from course.processes.interrupts import ended_by_signals
from course.work import folder as work
from course.work.progress import Progress


def start(
    chapter: StateArgument,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Move the work that is there to a dated folder first.")
    ] = False,
) -> None:
    """Begin work/ as the chapter before left off. Work that is there already is never overwritten.

    Example: ./course start 04
    """
    try:
        found = find_state(chapter)
        has_begun = not fresh and work.is_begun(found)
        aside = None if has_begun else work.start(found, fresh)
    except (UnknownChapter, work.WorkProblem, OSError) as problem:
        raise fail(problem) from None
    if aside:
        console.print(f"Your work up to now is in {work.shown(aside)}.", soft_wrap=True)
    of, steps = chapter_of(found), steps_of(chapter_of(found))
    state = "holds your work for" if has_begun else "is ready for"
    console.print(f"work/ {state} {found.title}.", soft_wrap=True)
    console.print(
        f"The lesson: docs/lessons/{of.number}.md; ./course docs serves it at "
        f"http://127.0.0.1:8000/lessons/{of.number}/",
        soft_wrap=True,
    )
    if steps:
        console.print(
            f"Its steps: {', '.join(f'{step} {step.name}' for step in steps)}.", soft_wrap=True
        )
    else:
        console.print(
            "It has no steps: its lesson breaks the finished chapter and mends it. To build it all "
            "the same, see what changes, file by file: ./course diff 05 06",
            soft_wrap=True,
        )
    first = found if isinstance(found, Step) else next(iter(steps), found)
    console.print(
        f"Change the code in work/, see it with ./course run work, and check it with "
        f"./course check {first.arguments}. "
        f"All of it on one page, in the browser: ./course learn {first.arguments}.",
        soft_wrap=True,
    )


ProjectOption = Annotated[
    Path | None, typer.Option("--project", metavar="DIR", help="A project other than work/.")
]
ExerciseOption = Annotated[
    int | None, typer.Option("--exercise", metavar="N", help="An exercise of the chapter.")
]


def check(
    chapter: ChapterArgument,
    exercise: ExerciseOption = None,
    project: ProjectOption = None,
    watch: Annotated[bool, typer.Option("--watch", help="Check again on each save.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Every idea and every line of a message.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    wires: Annotated[
        bool, typer.Option("--wires", help="Show what passed last before an idea failed.")
    ] = False,
) -> None:
    """Check your work against a chapter's ideas, one by one, or against those of an exercise.

    Ends with 0 if all hold, with 1 if one does not, with 2 if the work could not be checked.
    Example: ./course check 04 --exercise 2 --watch
    """
    from course.work import check as checking

    try:
        found, folder = find_work(chapter, exercise), work.project_folder(project)
        with ended_by_signals():
            if watch:
                checking.watch(console, found, folder, verbose, wires)
            result = checking.check_once(console, found, folder, as_json, verbose, wires)
    except (UnknownChapter, UnknownExercise, work.WorkProblem) as problem:
        raise fail(problem) from None
    except KeyboardInterrupt:
        raise fail("Interrupted. Everything that was started has been ended.", 130) from None
    if as_json:
        sys.stdout.write(json.dumps(checking.as_data(found, folder, result), indent=2) + "\n")
    elif result.problem:
        raise fail(result.problem)
    raise typer.Exit(result.exit_code)


def hint(
    chapter: ChapterArgument, exercise: ExerciseOption = None, project: ProjectOption = None
) -> None:
    """Give the next hint for the first idea that failed in the last check.

    Example: ./course hint 04 --exercise 2
    """
    from course.content.hints import HINTS_EACH
    from course.work.hints import NoHint, next_hint

    try:
        found, folder = find_work(chapter, exercise), work.project_folder(project)
        ideas = {idea.key: idea for idea in ideas_to_check(found)}
        files = {key: idea.file for key, idea in ideas.items()}
        hint = next_hint(found, files, Progress.read(folder))
    except (UnknownChapter, UnknownExercise, work.WorkProblem, NoHint) as problem:
        raise fail(problem) from None
    console.print(Text(ideas[hint.key].text, "bold"), soft_wrap=True)
    if hint.cause:
        console.print(Text(f"The last check found: {hint.cause}."), soft_wrap=True)
    console.print(Text(f"Hint {hint.number} of {HINTS_EACH}: {hint.text.strip()}"), soft_wrap=True)


def export(
    to: Annotated[Format, typer.Argument(help="The program that reads it.")],
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="None: standard input.")
    ] = None,
) -> None:
    """Print the outcome of a check for Gradescope (results.json) or GitHub Classroom.

    FILE is what ./course check NN --json has printed.
    Example: ./course export gradescope check.json
    """
    try:
        text = file.read_text("utf-8") if file else sys.stdin.read()
        sys.stdout.write(exporting.export(exporting.read_outcome(text), to) + "\n")
    except (exporting.ExportProblem, OSError, UnicodeDecodeError) as problem:
        raise fail(problem) from None


def grade(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of projects.")],
    chapter: Annotated[
        str | None, typer.Option(help="Check this chapter. None: find the highest that passes.")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Projects at a time.", min=1, max=16)] = 2,
    out: Annotated[Path, typer.Option(help="Results as CSV; JUnit XML beside it.")] = Path(
        "results.csv"
    ),
    page: Annotated[
        bool, typer.Option("--page", help="Show the table in the browser, row by row.")
    ] = False,
    wires: Annotated[
        bool, typer.Option("--wires", help="Keep what passed last before an idea failed.")
    ] = False,
) -> None:
    """Check every project in a folder: a table, CSV and JUnit XML. Goes on where it was ended.

    This runs the students' code, with your rights, on this machine. Each project gets a copy, a
    Redis and limits of its own, which keeps accidents apart; they are no wall against malice. For
    code you would not run yourself, grade in a container or a virtual machine.
    Example: ./course grade submissions/ --chapter 04
    """
    from course.cli.grade_output import grade_folder
    from course.grade.results import ResultsProblem

    try:
        found = find_chapter(chapter) if chapter else None
        with ended_by_signals():
            grade_folder(console, folder, found, jobs, out, page, wires)
    except (UnknownChapter, work.WorkProblem, ResultsProblem, OSError) as problem:
        raise fail(problem) from None
    except KeyboardInterrupt:
        words = f"Interrupted. What was done is in {out}; the same command goes on from there."
        raise fail(words, 130) from None
