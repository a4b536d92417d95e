"""Which tests run, which share a process, and which run alone, with pytest-xdist."""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from course.processes.tree import end_all, processes_with

GROUP, ALONE, DEPENDS_ON = "xdist_group", "alone", "depends_on"
RUN = "COURSE_TEST_RUN"  # an environment variable, by which the processes of a run are found
FolderOf = Callable[[pytest.Item], Path | None]  # the project that a test is about
LOCK = "course_lock"  # what a worker is given: the file that all of one run lock


def group_tests(items: list[pytest.Item], folder_of: FolderOf) -> None:
    """Tests that share a running project run in one process; the others wherever there is room.

    Where only one project is tested, its page tests share a second one: two cores are busy.
    """
    sharing = [
        (item, folder)
        for item in items
        if "shared_project" in getattr(item, "fixturenames", [])
        and (folder := folder_of(item))
        and not item.get_closest_marker(GROUP)
    ]
    only_one = len({folder for _, folder in sharing}) == 1
    for item, folder in sharing:
        of_the_page = only_one and "page" in getattr(item, "fixturenames", [])
        name = f"{folder.name}-page" if of_the_page else folder.name
        item.add_marker(pytest.mark.xdist_group(name))
    items.sort(key=lambda item: item.get_closest_marker(ALONE) is not None)


def mark_repeated(
    items: list[pytest.Item], folder_of: Callable[[pytest.Item], Path | None]
) -> None:
    """A test that depends on a few files of a project, for a second project with the same files.

    It would prove the same once more: it becomes thorough.
    """
    seen = set()
    for item in items:
        mark, folder = item.get_closest_marker(DEPENDS_ON), folder_of(item)
        if mark and folder:
            key = (item.name, digest([item.path, *files_in(folder, mark.args)]))
            if key in seen:
                item.add_marker(pytest.mark.thorough)
            seen.add(key)


def files_in(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    """The project's files of these names. A pattern that fits no file is an error of the test."""
    found = [sorted(folder.glob(pattern)) for pattern in patterns]
    assert all(found), f"{DEPENDS_ON}{patterns}: one fits no file of {folder.name}"
    return [path for paths in found for path in paths]


def digest(files: list[Path]) -> str:
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


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
