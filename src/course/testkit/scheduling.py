"""Several tests at a time, with pytest-xdist: which share a process, and which run alone."""

import fcntl
import shutil
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

GROUP, ALONE = "xdist_group", "alone"
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


class GivesOutLock:
    """For xdist's controller: every worker of this run is given the same file to lock."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="course-test-"))

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput[LOCK] = str(self.folder / "lock")

    def pytest_unconfigure(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


class TakesTurns:
    """For a worker: a test marked `alone` waits until no other runs, and the others for it."""

    def __init__(self, lock: str) -> None:
        self.lock = Path(lock)

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # outside pytest-timeout, which must not count it
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        with self.lock.open("a") as file:  # closing it gives the lock back
            fcntl.flock(file, fcntl.LOCK_EX if item.get_closest_marker(ALONE) else fcntl.LOCK_SH)
            return (yield)
