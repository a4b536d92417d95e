"""Limits for a project that nobody has read: its memory, its processes, its files, its time."""

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

import psutil

from course.processes.tree import ENDING, ProcessTree

MOST_PROCESSES = 120
MOST_MEMORY = 800 * 2**20  # bytes, of one process
MOST_MEMORY_ALL = 3 * 2**30  # bytes, of all: a browser alone has some hundred million
MOST_FILES = 400 * 2**20  # bytes, of one file and of all that are written
MOST_DEPTH = 100  # folders within one another: Python's own tools fail on a thousand
LOOK_EVERY = 0.5  # seconds
BROWSER_PROCESSES = ("chrom", "google chrome", "headless_shell")


class LimitWatcher:
    """Watches a tree while it runs, and ends it when it takes more than its share.

    What it writes counts in the tree's own folder, and in `project`, the folder that it runs in.
    """

    def __init__(self, tree: ProcessTree, project: Path | None = None) -> None:
        self.tree = tree
        self.problem = ""  # what it took too much of
        is_inside = project is not None and project.is_relative_to(tree.folder)
        self._project = None if is_inside else project
        self._size_before = size_and_depth(self._project)[0] if self._project else 0
        self._done = threading.Event()
        self._limited: set[int] = set()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join(2 * ENDING)

    def _watch(self) -> None:
        while not self._done.wait(LOOK_EVERY):
            self._limit_files()
            if problem := self._too_much():
                self.problem = self.problem or problem
                self.tree.end()

    def _limit_files(self) -> None:
        """What a lane starts later inherits the limit; only Linux can set it from outside."""
        if not hasattr(psutil, "RLIMIT_FSIZE"):
            return
        for child in self.tree.children:
            if child.pid not in self._limited and child.poll() is None:
                self._limited.add(child.pid)
                with suppress(psutil.Error, OSError):
                    limits = (MOST_FILES, MOST_FILES)
                    psutil.Process(child.pid).rlimit(psutil.RLIMIT_FSIZE, limits)

    def _too_much(self) -> str:
        members = self.tree.members()
        if len(members) > MOST_PROCESSES:
            return f"It had {len(members)} processes; the limit is {MOST_PROCESSES}."
        written, depth = self._files()
        if depth > MOST_DEPTH:
            return f"It has {depth} folders within one another; the limit is {MOST_DEPTH}."
        memory = []
        for process in members:
            with suppress(psutil.Error):
                memory.append(memory_of(process))
        in_all = sum(memory)
        if in_all > MOST_MEMORY_ALL:  # what processes share, such as a worker's pool, counts once
            in_all = sum(map(exact_memory_of, members))
        for what, size, limit in (
            ("A process used {} of memory", max(memory, default=0), MOST_MEMORY),
            ("It used {} of memory", in_all, MOST_MEMORY_ALL),
            ("It wrote {} of files", written, MOST_FILES),
        ):
            if size > limit:
                return f"{what.format(in_mib(size))}; the limit is {in_mib(limit)}."
        return ""

    def _files(self) -> tuple[int, int]:
        """How much it wrote, in bytes, and how many folders within one another it has."""
        size, depth = size_and_depth(self.tree.folder)
        if self._project:
            there, other = size_and_depth(self._project)
            size, depth = size + max(0, there - self._size_before), max(depth, other)
        return size, depth


def memory_of(process: psutil.Process) -> int:
    """Its memory in bytes. A browser's dozen processes share most of theirs: it counts for none."""
    info = process.memory_info()
    is_browser = process.name().lower().startswith(BROWSER_PROCESSES)
    return int(info.rss - getattr(info, "shared", 0) if is_browser else info.rss)


def exact_memory_of(process: psutil.Process) -> int:
    """Its memory in bytes, with its part of what it shares with others. This takes a while."""
    with suppress(psutil.NoSuchProcess):
        try:
            info = process.memory_full_info()
            return int(getattr(info, "pss", info.rss))
        except psutil.AccessDenied:  # it hides that
            return memory_of(process)
    return 0


def in_mib(size: int) -> str:
    return f"{size // 2**20} MiB"


def size_and_depth(folder: Path) -> tuple[int, int]:
    size = deepest = 0
    for depth, entry in entries_in(folder):
        with suppress(OSError):
            if entry.is_dir(follow_symlinks=False):
                deepest = max(deepest, depth)
            else:
                size += entry.stat(follow_symlinks=False).st_size
    return size, deepest


def entries_in(folder: Path) -> Iterator[tuple[int, os.DirEntry[str]]]:
    """All that is in the folder, to any depth, and how many folders it is in."""
    waiting = [(1, str(folder))]
    while waiting:
        depth, path = waiting.pop()
        with suppress(OSError), os.scandir(path) as entries:
            for entry in entries:
                yield depth, entry
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((depth + 1, entry.path))
