"""What `./course check` hears of the tests: each idea as it begins and as it is decided.

Several pytest processes may share the ideas of one check. Each takes the next idea that nobody has
taken: it makes the file of that name in the folder of claims. An idea after the first that failed
is not taken: the file LIMIT there holds that one's number.
"""

import json
import os
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from course.processes import KEPT_LINES, Process
from course.testkit.explain import explain
from course.testkit.launched import DidNotStart
from course.testkit.project import RunningProject
from course.wires.text import lines

LIMIT = "limit"
LAST_EVENTS = 20  # that are shown of what passed before a failure


class IdeaReporter:
    """A pytest plugin. `order` holds the ideas' keys as the check numbers them; see report_to()."""

    def __init__(self, fd: int, claims: Path, order: list[str], mine: list[str]) -> None:
        self.pipe = os.fdopen(fd, "w", buffering=1)
        self.claims, self.order, self.mine = claims, order, mine
        self.failure: dict[str, Any] | None = None
        self.skipped = ""
        self.logs_before: dict[int, list[str]] = {}

    def tell(self, event: str, key: str, **more: Any) -> None:
        self.pipe.write(json.dumps({"event": event, "idea": key} | more, default=repr) + "\n")

    def claim(self, key: str) -> bool:
        limit = self.claims / LIMIT
        if limit.exists() and self.order.index(key) > int(limit.read_text()):
            return False
        try:
            (self.claims / key).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = session.items
        for key in self.mine:
            own = [item for item in items if getattr(item, "originalname", "") == key]
            if not own or not self.claim(key):
                continue
            self.failure, self.skipped, start = None, "", time.monotonic()
            self.tell("begin", key)
            for item in own:
                next_item = somebody_else(item, items)
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=next_item)
                if self.failure:
                    break
            seconds = round(time.monotonic() - start, 2)
            if self.failure:
                self.tell("failed", key, seconds=seconds, **self.failure)
            else:
                outcome = "skipped" if self.skipped else "passed"
                self.tell(outcome, key, seconds=seconds, reason=self.skipped)
        self.tell("end", "")
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self.logs_before = {id(p): p.lines for p in self.processes(item)}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report: pytest.TestReport = yield
        if report.skipped:
            self.skipped = str(call.excinfo.value) if call.excinfo else "skipped"
        elif report.failed and call.excinfo and not self.failure:
            folder = Path(str(item.config.getoption("--project"))).resolve()
            error = call.excinfo.value
            reason = error.reason if isinstance(error, DidNotStart) else error
            self.failure = explain(reason, folder, self.new_lines(item))
            self.failure["wires"] = self.last_events(item)
            self.failure["did_not_start"] = getattr(error, "did_not_start", False)
        return report

    def project(self, item: pytest.Item) -> RunningProject | None:
        """The project that the tests share, if it runs."""
        shared = getattr(item.session, "course_shared_project", None)
        return getattr(shared, "project", None)

    def processes(self, item: pytest.Item) -> list[Process]:
        project = self.project(item)
        return list(project.processes) if project else []

    def last_events(self, item: pytest.Item) -> list[str]:
        """What passed last between the shared project's processes, if that is watched."""
        project = self.project(item)
        return lines(project.tap.last(LAST_EVENTS)) if project and project.tap else []

    def new_lines(self, item: pytest.Item) -> dict[str, list[str]]:
        """What each process of the shared project has said since the test began."""
        found = {}
        for process in self.processes(item):
            said, before = process.lines, self.logs_before.get(id(process), [])
            is_full = len(before) == KEPT_LINES
            found[f"{process.name} {process.pid}"] = said[-60:] if is_full else said[len(before) :]
        return found


def somebody_else(item: pytest.Item, items: list[pytest.Item]) -> pytest.Item | None:
    """A test that could follow: told of one, pytest leaves the project running for it.

    One of another file, if there is any: pytest then leaves nothing of this file set up.
    """
    others = [other for other in items if other is not item]
    elsewhere = [other for other in others if other.path != item.path]
    return next(iter(elsewhere + others), None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("course").addoption(
        "--course-report", metavar="JSON", help="what ./course check tells its pytest processes"
    )


def pytest_configure(config: pytest.Config) -> None:
    if given := config.getoption("--course-report"):
        settings = json.loads(str(given))
        settings["claims"] = Path(settings["claims"])
        config.pluginmanager.register(IdeaReporter(**settings), "course-report")
