"""The processes that judge a check's ideas side by side, each on a running project of its own."""

import os
import socket
import subprocess
import sys
import time
from enum import Enum
from pathlib import Path

from course.content.chapters import ROOT
from course.content.ideas import Idea
from course.processes.tree import ProcessTree
from course.testkit.events import Event, Order, decode

LAST_LINES = 15
MANY_PAGES = 6  # ideas of the page that are worth a second lane for them


class Kind(Enum):
    """What a lane is best at. A check in one lane has a MAIN one, which takes every idea."""

    MAIN = "main"  # in the ideas' order
    PAGE = "page"  # the page's first, and then the others' from the end
    OWN = "own"  # those that start processes of their own, which need no running project

    @classmethod
    def for_ideas(cls, ideas: list[Idea], lanes: int) -> list["Kind"]:
        """For so many lanes at most; few ideas are judged sooner in one."""
        if lanes == 1 or len(ideas) < 4:
            return [cls.MAIN]
        found = [cls.MAIN, cls.PAGE]
        if any(not idea.needs_project for idea in ideas):
            found.append(cls.OWN)
        # A page's idea waits more than it computes.
        if sum(idea.needs_browser for idea in ideas) >= MANY_PAGES:
            found.append(cls.PAGE)
        return found[:lanes]

    def order(self, ideas: list[Idea]) -> list[Idea]:
        """Those that a lane of this kind takes, the first one first."""
        if self is Kind.OWN:
            return [idea for idea in ideas if not idea.needs_project]
        page = [idea for idea in ideas if idea.needs_browser]
        rest = [idea for idea in ideas if not idea.needs_browser]
        own = [idea for idea in rest if not idea.needs_project]
        shared = [idea for idea in rest if idea.needs_project]
        if self is Kind.PAGE:
            return page + shared[::-1] + own[::-1]
        return shared + own + page[::-1]


class Lane:
    """A process that judges the ideas it is given, and its end of the line to it."""

    def __init__(
        self, kind: Kind, name: str, process: "subprocess.Popen[bytes]",
        link: socket.socket, output: Path,
    ) -> None:  # fmt: skip
        self.kind, self.name, self.process, self.link, self.output = (
            kind, name, process, link, output,
        )  # fmt: skip
        self.running = ""  # the key of the idea that it judges
        self.began = time.monotonic()
        self.is_ready = self.is_gone = False
        self._unread = b""

    def judge(self, idea: Idea) -> None:
        self.running, self.began = idea.key, time.monotonic()
        try:
            self.link.sendall(f"{idea.key}\n".encode())
        except OSError:  # it has just ended: read() says so
            return

    def read(self) -> list[Event]:
        """The events that have come; to be called when there is something to read."""
        try:
            data = self.link.recv(65_536)
        except OSError:
            data = b""
        self.is_gone = not data
        *lines, self._unread = (self._unread + data).split(b"\n")
        events = [decode(line.decode()) for line in lines]
        if events:
            self.running = ""
        return events

    def last_words(self) -> str:
        return "\n".join(self.output.read_text(errors="replace").splitlines()[-LAST_LINES:])


def start_lane(
    kind: Kind,
    project: Path,
    ideas: list[Idea],
    tree: ProcessTree,
    idea_limit: float,
    with_wires: bool = False,
) -> Lane:
    """Start a lane for those of the ideas that it may be given."""
    mine = kind.order(ideas)
    order = Order(
        project,
        [idea.node for idea in mine],
        any(i.needs_project for i in mine),
        idea_limit,
        with_wires,
    )
    name = f"{kind.value}{len(tree.children)}"
    ours, theirs = socket.socketpair()
    fd = theirs.fileno()
    output = tree.folder / f"{name}.txt"
    command = [sys.executable, "-P", "-m", "course.testkit.lane", str(fd), order.encode()]
    with theirs, output.open("wb") as file:
        process = tree.launch(
            command, name, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, pass_fds=[fd]
        )
    os.set_blocking(ours.fileno(), True)
    return Lane(kind, name, process, ours, output)
