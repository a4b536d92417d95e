"""How a lane of `./course check` runs pytest: the ideas that it is given, one by one."""

import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import pytest

from course.processes import ProjectProblem, RedisProblem
from course.testkit.events import Event, Failed, Failure, Passed, Ready, Skipped, encode
from course.testkit.expect import AHEAD
from course.testkit.explain import explain
from course.testkit.project import RunningProject
from course.testkit.records import BEGUN, DID_NOT_START, Record
from course.wires.text import lines

LAST_EVENTS = 20  # that are shown of what passed before a failure


class IdeaRunner:
    """A pytest plugin. Each line that it reads is the key of an idea; the answer is an event."""

    def __init__(
        self,
        lines: TextIO,
        project: Path,
        begun: RunningProject | ProjectProblem | RedisProblem | None,
    ) -> None:
        self.lines, self.project, self.begun = lines, project, begun
        self.failure: Failure | None = None
        self.did_not_start = False
        self.skipped = self.remark = ""

    def send(self, event: Event) -> None:
        self.lines.write(encode(event))

    def pytest_configure(self, config: pytest.Config) -> None:
        config.stash[BEGUN] = self.begun
        config.addinivalue_line("markers", "xdist_group: of a plugin that a lane does without")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.send(Ready())
        for line in self.lines:
            self.send(self.judge(line.strip(), session.items))
        return True

    def judge(self, key: str, items: list[pytest.Item]) -> Event:
        self.failure, self.did_not_start, self.skipped, self.remark = None, False, "", ""
        start = time.monotonic()
        for item in items:
            if getattr(item, "originalname", "") == key:
                next_item = another(item, items)
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=next_item)
                if self.failure:
                    break
        seconds = round(time.monotonic() - start, 2)
        if self.failure:
            return Failed(key, seconds, self.failure, self.did_not_start)
        if self.skipped:
            return Skipped(key, seconds, self.skipped)
        return Passed(key, seconds, self.remark)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report: pytest.TestReport = yield
        if report.skipped:
            reason = str(call.excinfo.value) if call.excinfo else "skipped"
            if reason.startswith(AHEAD):
                self.remark = reason
            else:
                self.skipped = reason
        elif report.failed and call.excinfo and not self.failure:
            error = call.excinfo.value
            record = Record.of(item)
            failure = explain(error, self.project, record, getattr(item, "originalname", item.name))
            self.failure = replace(failure, wires=last_events(record))
            self.did_not_start = item.session.stash.get(DID_NOT_START, False)
        return report


def last_events(record: Record) -> list[str]:
    """What passed last between the processes of the test's project, if that was watched."""
    taps = [project.tap for project in record.projects if project.tap]
    return lines(taps[-1].last(LAST_EVENTS)) if taps else []


def another(item: pytest.Item, items: list[pytest.Item]) -> pytest.Item | None:
    """A test that could follow: told of one, pytest leaves the project running for it.

    One of another file, if there is any: pytest then leaves nothing of this file set up.
    """
    others = [other for other in items if other is not item]
    elsewhere = [other for other in others if other.path != item.path]
    return next(iter(elsewhere + others), None)
