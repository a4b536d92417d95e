"""The command learn."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from course.cli.terminal import console, fail, states
from course.cli.work import ProjectOption
from course.content.chapters import UnknownChapter, all_chapters
from course.content.steps import find_state
from course.work import folder as work
from course.work.progress import Progress


def learn(
    chapter: Annotated[
        str | None,
        typer.Argument(
            metavar="[CHAPTER|STEP]",
            help="A chapter's number or name, or a step (04.2). None: where your work is.",
            autocompletion=states,
        ),
    ] = None,
    project: ProjectOption = None,
    port: Annotated[int, typer.Option(help="The port of the site.", min=1, max=65535)] = 8020,
    web_port: Annotated[
        int, typer.Option(help="The port of your app's page.", min=1, max=65535)
    ] = 8010,
    newsletter_port: Annotated[
        int, typer.Option(help="The port of the newsletter service.", min=1, max=65535)
    ] = 8011,
    open_page: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the lesson in the browser.")
    ] = True,
    site: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="A site that ./course docs --build has written. None: it is built now.",
        ),
    ] = None,
) -> None:
    """Read the lesson beside your work: its steps judged on each save, hints, log and wires.

    What runs and what is judged is work/, as with ./course run work and ./course check.
    Example: ./course learn 04
    """
    for module, command in (("psutil", "check 01"), ("mkdocs", "docs --build")):
        if not find_spec(module) and not (site and module == "mkdocs"):
            raise fail(f"{module} is missing. ./course {command} installs it.")
    from course.learn.serving import LearnProblem, Options, serve
    from course.site.build import SiteProblem

    folder = (project or work.WORK).resolve()
    try:
        if folder.exists() and not folder.is_dir():
            raise work.WorkProblem(f"{work.shown(folder)} is not a folder.")
        state = find_state(chapter or where_work_is(folder))
        options = Options(port, web_port, newsletter_port, open_page, site)
        code = serve(folder, state, options, lambda text: console.print(text, soft_wrap=True))
    except (UnknownChapter, work.WorkProblem, LearnProblem, SiteProblem, OSError) as problem:
        raise fail(problem) from None
    raise typer.Exit(code)


def where_work_is(folder: Path) -> str:
    """The chapter of the last check, or that it was begun for; the first one without work."""
    progress = Progress.read(folder).data
    numbers = [chapter.number for chapter in all_chapters()]
    checked = str(progress.get("last_checked", ""))[:2]
    begun = str(progress.get("started", ""))
    return next((number for number in (checked, begun) if number in numbers), numbers[0])
