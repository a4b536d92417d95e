"""The pytest plugin: which project is under test, and the fixtures that give tests access to it."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from course.content.chapters import UnknownChapter
from course.content.ideas import NOT_IN_CHECK
from course.content.steps import STEP_NAME, find_state, folder_of
from course.doctor.findings import how_to_get_a_browser
from course.processes import ProjectProblem, RedisProblem
from course.processes.browser import find_browser
from course.processes.interrupts import ended_by_signals
from course.testkit import scheduling
from course.testkit.expect import NotAsExpected
from course.testkit.launched import QUICK, DidNotStart
from course.testkit.progress import Progress
from course.testkit.project import RunningProject, launched, running
from course.testkit.records import BEGUN, DID_NOT_START, SHARED, Record


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("course")
    group.addoption(
        "--project",
        metavar="DIR",
        help="the project to test, a folder or a step (04.2); without it, the test's own chapter",
    )
    group.addoption(
        "--progress", action="store_true", help="per cent and time left instead of dots"
    )
    group.addoption(
        "--wires",
        action="store_true",
        help="let what passes between the project's processes pass through the tap",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{NOT_IN_CHECK}: `./course check` leaves this test out")
    config.addinivalue_line("markers", f"{scheduling.ALONE}: no other test runs meanwhile")
    depends_on = (
        f"{scheduling.DEPENDS_ON}(*patterns): the only files of a project that matter to it"
    )
    config.addinivalue_line("markers", depends_on)
    lay_out_step(config)
    if given := getattr(config, "workerinput", {}):
        config.pluginmanager.register(scheduling.TakesTurns(given[scheduling.LOCK]))
    else:
        config.pluginmanager.register(scheduling.Controller())
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


def lay_out_step(config: pytest.Config) -> None:
    """If --project names a step, make it a folder with the app as it is after that step."""
    given = str(config.getoption("--project") or "")
    if not STEP_NAME.fullmatch(given) or Path(given).exists():
        return
    until_the_end = ExitStack()
    config.add_cleanup(until_the_end.close)
    try:
        folder = until_the_end.enter_context(folder_of(find_state(given)))
    except UnknownChapter as problem:
        raise pytest.UsageError(str(problem)) from None
    config.option.project = str(folder)


@pytest.hookimpl(tryfirst=True)  # before xdist's worker, which reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not (items and items[0].config.getoption("--project")):
        scheduling.mark_repeated(items, project_folder)
    scheduling.group_tests(items, project_folder)
    may_skip = not find_browser() and not os.environ.get("COURSE_REQUIRE_BROWSER")
    for item in items:
        if may_skip and "page" in getattr(item, "fixturenames", []):
            item.add_marker(pytest.mark.skip(reason="no browser"))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
) -> None:
    if (
        exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED
        and "not thorough" in config.option.markexpr
    ):
        terminalreporter.write_line(
            "No test ran. If the name is right, it is that of a slow test: add --all."
        )
    skipped = terminalreporter.stats.get("skipped", [])
    without_browser = [report for report in skipped if "no browser" in str(report.longrepr)]
    if without_browser:
        terminalreporter.write_line(
            f"NOT TESTED: {len(without_browser)} browser tests, as no Chromium was found. "
            f"To get one: {how_to_get_a_browser()}",
            red=True,
            bold=True,
        )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    Record.of(item).begin(item.session.stash.get(SHARED, None))


def project_folder(item: pytest.Item) -> Path | None:
    """The project this test is about: --project, or the chapter above the test's folder."""
    if given := item.config.getoption("--project"):
        return Path(str(given)).resolve()
    folder = item.path.parent.parent
    return folder if (folder / "Procfile").exists() else None


class SharedProject:
    """One running project at a time: tests of one chapter share it, the next chapter ends it."""

    def __init__(self, session: pytest.Session) -> None:
        self.session = session
        self.with_wires: bool = session.config.getoption("--wires")
        self.begun = session.config.stash.get(BEGUN, None)  # what `./course check` has started
        self.stack = ExitStack()
        self.folder: Path | None = None
        self.project: RunningProject | None = None
        self.problem: ProjectProblem | RedisProblem | None = None

    def of(self, folder: Path) -> RunningProject:
        if folder != self.folder:
            self.stop()
            self.folder = folder
            try:
                self.project = self.start(folder)
                self.session.stash[SHARED] = self.project
            except (ProjectProblem, RedisProblem) as problem:
                self.problem = problem
        if not self.project:
            self.session.stash[DID_NOT_START] = True
            raise as_expectation(self.problem)
        return self.project

    def start(self, folder: Path) -> RunningProject:
        if isinstance(self.begun, ProjectProblem | RedisProblem):
            raise self.begun
        if self.begun:
            self.begun.wait_until_ready()
            return self.begun
        return self.stack.enter_context(running(folder, with_wires=self.with_wires))

    def stop(self) -> None:
        self.stack.close()
        self.project = self.problem = None


def as_expectation(problem: ProjectProblem | RedisProblem | None) -> NotAsExpected:
    """That the project cannot be run, as what was expected and what was seen."""
    if isinstance(problem, DidNotStart):
        return problem.reason
    return NotAsExpected("a project that can be started", str(problem), look_at="Procfile")


@pytest.fixture(scope="session")
def shared_project(request: pytest.FixtureRequest) -> Iterator[SharedProject]:
    shared = SharedProject(request.session)
    yield shared
    shared.stop()


@pytest.fixture
def folder(request: pytest.FixtureRequest) -> Path:
    """The folder of the project under test."""
    found = project_folder(request.node)
    assert found, "a test that uses the project lies in a chapter's tests folder"
    return found


@pytest.fixture
def project(
    shared_project: SharedProject, folder: Path, request: pytest.FixtureRequest
) -> RunningProject:
    """The running project, shared by all tests of a chapter: leave it as you found it."""
    project = shared_project.of(folder)
    record = Record.of(request.node)
    if project not in record.projects:  # it has been started for this test
        record.projects.insert(0, project)
    return project


@pytest.fixture
def own_project(
    folder: Path, request: pytest.FixtureRequest
) -> Iterator[Callable[..., RunningProject]]:
    """Start processes that this test alone uses, and may harm: own_project("web").

    Settings are environment variables of theirs: own_project("worker", CELERY_QUEUE="idle").
    """
    with ExitStack() as stack:

        def start(*names: str, **settings: object) -> RunningProject:
            try:
                wires = request.config.getoption("--wires")
                project = stack.enter_context(
                    launched(folder, *names, settings=QUICK | settings, with_wires=wires)
                )
                Record.of(request.node).projects.append(project)
                project.wait_until_ready()
                return project
            except ProjectProblem as problem:
                raise as_expectation(problem) from None

        yield start
