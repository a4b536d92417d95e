"""Several tests at a time, with pytest-xdist: which share a process, and which run alone."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from course.processes.tree import end_all, processes_with

GROUP, ALONE = "xdist_group", "alone"
RUN = "COURSE_TEST_RUN"  # an environment variable, by which the processes of a run are found
LOCK = "course_lock"  # what a worker is given: the file that all of one run lock


def group_tests(items: list[pytest.Item], folder_of: Callable[[pytest.Item], Path | None]) -> None:
    """Tests that share a running project run in one process; the others wherever there is room.

    A chapter's page tests share a second project, so that one chapter keeps two cores busy.
    """
    for item in items:
        fixtures, folder = getattr(item, "fixturenames", []), folder_of(item)
        if folder and "shared_project" in fixtures and not item.get_closest_marker(GROUP):
            name = f"{folder.name}-page" if "page" in fixtures else folder.name
            item.add_marker(pytest.mark.xdist_group(name))
    items.sort(key=lambda item: item.get_closest_marker(ALONE) is not None)


class Controller:
    """For the process that the reader started: what all workers share, and what they may leave."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="course-test-"))
        self.before = os.environ.get(RUN)
        os.environ[RUN] = str(self.folder)  # inherited by whatever the tests start

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput[LOCK] = str(self.folder / "lock")

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """End what a worker left behind that was killed before its fixtures ended."""
        end_all(lambda: processes_with(RUN, str(self.folder)))
        shutil.rmtree(self.folder, ignore_errors=True)
        del os.environ[RUN]
        if self.before:  # tests of the tests
            os.environ[RUN] = self.before


class TakesTurns:
    """For a worker: a test marked `alone` waits until no other runs, and the others for it."""

    def __init__(self, lock: str) -> None:
        self.lock = Path(lock)

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # outside pytest-timeout, which must not count it
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        with self.lock.open("a") as file:  # closing it gives the lock back
            fcntl.flock(file, fcntl.LOCK_EX if item.get_closest_marker(ALONE) else fcntl.LOCK_SH)
            return (yield)
