"""The pytest plugin: which project is under test, and the fixtures that give tests access to it."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from course.content.ideas import NOT_IN_CHECK
from course.doctor.findings import how_to_get_a_browser
from course.processes import ProjectProblem
from course.processes.browser import find_browser
from course.processes.interrupts import ended_by_signals
from course.testkit import report, scheduling
from course.testkit.expect import NotAsExpected
from course.testkit.launched import DidNotStart
from course.testkit.progress import Progress
from course.testkit.project import RunningProject, running


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("course")
    group.addoption(
        "--project",
        metavar="DIR",
        help="the project to test; without it, the chapter that the test lies in",
    )
    group.addoption(
        "--progress", action="store_true", help="per cent and time left instead of dots"
    )
    report.pytest_addoption(parser)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{NOT_IN_CHECK}: `./course check` leaves this test out")
    config.addinivalue_line("markers", f"{scheduling.ALONE}: no other test runs meanwhile")
    report.pytest_configure(config)
    if given := getattr(config, "workerinput", {}):
        config.pluginmanager.register(scheduling.TakesTurns(given[scheduling.LOCK]))
    else:
        config.pluginmanager.register(scheduling.GivesOutLock())
        if config.getoption("--progress"):
            config.pluginmanager.register(Progress(config))
    if threading.current_thread() is threading.main_thread():
        until_the_end = ExitStack()
        until_the_end.enter_context(ended_by_signals())
        config.add_cleanup(until_the_end.close)
    # After pytest-playwright, whose fixtures some of these replace.
    if config.pluginmanager.hasplugin("playwright"):
        from course.testkit import browser

        config.pluginmanager.register(browser, "course-browser")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    scheduling.group_tests(items, project_folder)
    may_skip = not find_browser() and not os.environ.get("COURSE_REQUIRE_BROWSER")
    for item in items:
        if may_skip and "page" in getattr(item, "fixturenames", []):
            item.add_marker(pytest.mark.skip(reason="no browser"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    without_browser = [report for report in skipped if "no browser" in str(report.longrepr)]
    if without_browser:
        terminalreporter.write_line(
            f"NOT TESTED: {len(without_browser)} browser tests, as no Chromium was found. "
            f"To get one: {how_to_get_a_browser()}",
            red=True,
            bold=True,
        )


def project_folder(item: pytest.Item) -> Path | None:
    """The project this test is about: --project, or the chapter above the test's folder."""
    if given := item.config.getoption("--project"):
        return Path(str(given)).resolve()
    folder = item.path.parent.parent
    return folder if (folder / "Procfile").exists() else None


class SharedProject:
    """One running project at a time: tests of one chapter share it, the next chapter ends it."""

    def __init__(self) -> None:
        self.stack = ExitStack()
        self.folder: Path | None = None
        self.project: RunningProject | None = None
        self.problem: ProjectProblem | None = None

    def of(self, folder: Path) -> RunningProject:
        if folder != self.folder:
            self.stop()
            self.folder = folder
            try:
                self.project = self.stack.enter_context(running(folder))
            except ProjectProblem as problem:
                self.problem = problem
        if not self.project:
            reason = as_expectation(self.problem)
            reason.did_not_start = True
            raise reason
        return self.project

    def stop(self) -> None:
        self.stack.close()
        self.project = None


def as_expectation(problem: ProjectProblem | None) -> NotAsExpected:
    """That the project cannot be run, as what was expected and what was seen."""
    if isinstance(problem, DidNotStart):
        return problem.reason
    return NotAsExpected("a project that can be started", str(problem), look_at="Procfile")


@pytest.fixture(scope="session")
def shared_project(request: pytest.FixtureRequest) -> Iterator[SharedProject]:
    shared = request.session.course_shared_project = SharedProject()  # type: ignore[attr-defined]
    yield shared
    shared.stop()


@pytest.fixture
def folder(request: pytest.FixtureRequest) -> Path:
    """The folder of the project under test."""
    found = project_folder(request.node)
    assert found, "a test that uses the project lies in a chapter's tests folder"
    return found


@pytest.fixture
def project(shared_project: SharedProject, folder: Path) -> RunningProject:
    """The running project, shared by all tests of a chapter: leave it as you found it."""
    return shared_project.of(folder)


@pytest.fixture
def own_project(folder: Path) -> Iterator[Callable[..., RunningProject]]:
    """Start processes that this test alone uses, and may harm: own_project("web")."""
    with ExitStack() as stack:

        def start(*names: str) -> RunningProject:
            try:
                return stack.enter_context(running(folder, *names))
            except ProjectProblem as problem:
                raise as_expectation(problem) from None

        yield start
