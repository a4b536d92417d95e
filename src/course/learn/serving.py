"""All of `./course learn`, from the building of the site to the end by Ctrl-C."""

import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from course.content.steps import State, Step, chapter_of
from course.learn.access import Access
from course.learn.engine import Engine
from course.learn.local import LocalServer
from course.learn.runs import Runs
from course.learn.server import Site, anchor_of
from course.processes import port_problem
from course.processes.guard import Guard
from course.processes.interrupts import signals_as_flag
from course.processes.web_page import open_page
from course.site.build import build_into

KEY_FILE = Path(sys.prefix) / "learn-key"  # in .venv
PAUSE = 0.1  # seconds between two rounds of the main loop


class LearnProblem(Exception):
    """The page cannot be served. The message says what to do."""


@dataclass(frozen=True)
class Options:
    port: int = 8020
    web_port: int = 8010  # of the student's app
    newsletter_port: int = 8011
    opens_page: bool = True
    site: Path | None = None  # one that has been built already


def serve(project: Path, state: State, options: Options, say: Callable[[str], None]) -> int:
    """Serve until a signal comes. Returns an exit code. Raises LearnProblem or SiteProblem."""
    if problem := port_problem(options.port):
        raise LearnProblem(
            f"Port {options.port} is {problem}. Choose another one with --port, for example "
            f"--port {options.port % 60_000 + 1_100}. If ./course learn runs already, "
            "the address in its terminal leads there."
        )
    if options.site and not (options.site / "lessons").is_dir():
        raise LearnProblem(f"{options.site} holds no site: ./course docs --build writes one.")
    with ExitStack() as stack:
        ended = stack.enter_context(signals_as_flag())
        guard = stack.enter_context(Guard())
        if options.site:
            site = options.site
        else:
            folder = stack.enter_context(
                tempfile.TemporaryDirectory(prefix="course-learn-", ignore_cleanup_errors=True)
            )
            guard.folder(folder)
            site = Path(folder) / "site"
            say("Building the site; the first time takes a minute.")
            build_into(site, guard, lambda: ended.number is not None)
        if ended.number is None:
            chapter = chapter_of(state)
            access = Access(options.port, KEY_FILE)
            engine = stack.enter_context(Engine(project, chapter))
            runs = stack.enter_context(
                Runs(project, engine.store, options.web_port, options.newsletter_port)
            )
            try:
                app = Site(site, engine, runs).app(access)
                stack.enter_context(LocalServer(app, options.port))
            except OSError as error:
                raise LearnProblem(f"Port {options.port} cannot be used: {error}.") from error
            step = state.number if isinstance(state, Step) else 0
            anchor = anchor_of(site, chapter.number, step)
            address = access.address(f"/lessons/{chapter.number}/{anchor}")
            say(f"The lesson and your work: {address}")
            say("The address lets in one browser, yours: keep it to yourself. Ctrl-C ends this.")
            if options.opens_page:
                open_page(address)
            while ended.number is None:
                engine.look()
                runs.look()
                time.sleep(PAUSE)
            say("Ending everything that was started.")
    return 128 + (ended.number or 0)
