"""What the project said and answered since a test began: the evidence when the test fails."""

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from course.processes import Process, ProjectProblem, RedisProblem
from course.testkit.scripts import Script

if TYPE_CHECKING:
    from course.testkit.browser import PageLog
    from course.testkit.project import RunningProject

# The project that a lane has started before pytest was there, or why it could not.
BEGUN: "pytest.StashKey[RunningProject | ProjectProblem | RedisProblem | None]" = pytest.StashKey()
DID_NOT_START: pytest.StashKey[bool] = pytest.StashKey()
SHARED: "pytest.StashKey[RunningProject]" = pytest.StashKey()
RECORD: "pytest.StashKey[Record]" = pytest.StashKey()


QUIET = 0.3  # seconds without a new line
LONGEST_SETTLING = 1.0  # seconds


@dataclass
class Said:
    """A process, and what it has said: before the test began, and since."""

    process: Process
    before: list[str]
    since: list[str]


@dataclass
class Record:
    """Of one test: its projects, and how much each of their processes had said when it began."""

    projects: list["RunningProject"] = field(default_factory=list)
    lines_before: dict[Process, int] = field(default_factory=dict)
    answers_before: int = 0
    scripts_before: int = 0
    page: "PageLog | None" = None

    @classmethod
    def of(cls, item: pytest.Item) -> "Record":
        return item.stash.setdefault(RECORD, cls())

    def begin(self, shared: "RunningProject | None") -> None:
        if shared:
            self.projects = [shared]
            self.lines_before = {process: process.said for process in shared.processes}
            self.answers_before = len(shared.answers)
            self.scripts_before = len(shared.scripts)

    def settle(self) -> None:
        """Wait for what the processes still have to say: a log comes a moment after the answer."""
        deadline = time.monotonic() + LONGEST_SETTLING
        said, quiet_since = -1, time.monotonic()
        while time.monotonic() < min(deadline, quiet_since + QUIET):
            now = sum(process.said for project in self.projects for process in project.processes)
            if now != said:
                said, quiet_since = now, time.monotonic()
            time.sleep(0.02)

    def processes(self) -> list[Said]:
        return [
            Said(
                process,
                process.lines_from(0, self.lines_before.get(process, 0)),
                process.lines_from(self.lines_before.get(process, 0)),
            )
            for project in self.projects
            for process in project.processes
        ]

    @property
    def scripts(self) -> list[Script]:
        found = [script for project in self.projects for script in project.scripts]
        return found[self.scripts_before :]

    def answers(self) -> list[str]:
        """The HTTP answers since then that were errors, a line each: with their text."""
        own = [answer for project in self.projects[1:] for answer in project.answers]
        shared = self.projects[0].answers[self.answers_before :] if self.projects else []
        return shared + own
