"""A chapter's tests on a project, as ideas that are decided one by one.

The ideas are shared out between pytest processes, the lanes: see testkit/report.py.
"""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from course.content.chapters import ROOT
from course.processes.tree import ProcessTree
from course.content.ideas import START, Idea
from course.testkit.report import LIMIT

IDEA_LIMIT = 20  # seconds that one test may take
ALL_LIMIT = 90.0  # seconds that a check may take
PASSED, FAILED, SKIPPED, NOT_REACHED = "passed", "failed", "skipped", "not reached"


@dataclass
class Decision:
    """What is known about one idea."""

    idea: Idea
    state: str = NOT_REACHED
    seconds: float = 0.0
    # Of a failure: expected, seen, usually, look_at, where, log.
    details: dict[str, Any] = field(default_factory=dict)


@dataclass
class Result:
    decisions: list[Decision]
    seconds: float = 0.0
    problem: str = ""  # why it could not be checked, if it could not

    def of(self, state: str) -> list[Decision]:
        return [decision for decision in self.decisions if decision.state == state]

    @property
    def first_failed(self) -> Decision | None:
        return next(iter(self.of(FAILED)), None)

    @property
    def exit_code(self) -> int:
        return 2 if self.problem else 1 if self.first_failed else 0


def check(
    ideas: list[Idea],
    project: Path,
    on_decided: Callable[[Decision], None] = lambda decision: None,
    *,
    lanes: int = 2,
    stop_at_first: bool = True,
    limit: float = ALL_LIMIT,
    tree: ProcessTree | None = None,
) -> Result:
    """Decide the ideas on that project. What comes after the first that fails is not reached."""
    with tree or ProcessTree() as ours:
        return Run(ideas, project, on_decided, ours, stop_at_first, limit).go(lanes)


class Lane:
    """A pytest process that takes ideas, and what it has told so far."""

    def __init__(self, name: str, run: "Run", mine: list[Idea]) -> None:
        self.name, self.running = name, ""
        self.began = time.monotonic()
        read_end, write_end = os.pipe()
        settings = {
            "fd": write_end,
            "claims": str(run.claims),
            "order": run.keys,
            "mine": [idea.key for idea in mine],
        }
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        command += [f"--timeout={IDEA_LIMIT}", "--rootdir", str(ROOT), "-c", "pyproject.toml"]
        command += ["--project", str(run.project), "--course-report", json.dumps(settings)]
        command += [idea.node for idea in mine]
        self.output = run.tree.folder / f"{name}.txt"
        with self.output.open("wb") as output:
            self.process = run.tree.launch(
                command, name, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT,
                pass_fds=[write_end],
            )  # fmt: skip
        os.close(write_end)
        threading.Thread(target=self.read, args=(read_end, run.events), daemon=True).start()

    def read(self, fd: int, events: "queue.Queue[tuple[Lane, dict[str, Any]]]") -> None:
        with os.fdopen(fd) as pipe:
            for line in pipe:
                events.put((self, json.loads(line)))
        events.put((self, {"event": "gone", "idea": ""}))

    def last_words(self) -> str:
        return "\n".join(self.output.read_text(errors="replace").splitlines()[-15:])


class Run:
    """One check under way."""

    def __init__(
        self,
        ideas: list[Idea],
        project: Path,
        on_decided: Callable[[Decision], None],
        tree: ProcessTree,
        stop_at_first: bool,
        limit: float,
    ) -> None:
        self.project, self.on_decided, self.tree = project, on_decided, tree
        self.stop_at_first = stop_at_first
        self.started = time.monotonic()
        self.deadline = self.started + limit
        self.ideas, self.keys = ideas, [idea.key for idea in ideas]
        self.result = Result([Decision(idea) for idea in ideas])
        self.claims = tree.folder / "claims"
        self.claims.mkdir()
        self.events: queue.Queue[tuple[Lane, dict[str, Any]]] = queue.Queue()
        self.limit = len(ideas)  # the number of the first idea that failed

    def go(self, lanes: int) -> Result:
        plain = [idea for idea in self.ideas if not idea.needs_browser]
        browser = [idea for idea in self.ideas if idea.needs_browser]
        # Each lane helps with the other's ideas from the end when it is through with its own.
        orders = [plain + browser[::-1], browser + plain[::-1]]
        if lanes == 1 or len(self.ideas) < 4:
            orders = [self.ideas]
        self.watch([Lane(f"lane{n}", self, mine) for n, mine in enumerate(orders)])
        # A lane that was ended may have just taken an idea that has to be decided.
        left = [d.idea for d in self.result.decisions[: self.limit] if d.state == NOT_REACHED]
        if left and not self.result.problem and time.monotonic() < self.deadline:
            for idea in left:
                (self.claims / idea.key).unlink(missing_ok=True)
            self.watch([Lane("lane-again", self, left)])
        self.result.seconds = round(time.monotonic() - self.started, 1)
        return self.result

    def watch(self, lanes: list[Lane]) -> None:
        alive = list(lanes)
        while alive and not self.result.problem:
            try:
                lane, event = self.events.get(timeout=0.2)
            except queue.Empty:
                self.end_what_takes_too_long(alive)
                continue
            if lane in alive:
                self.hear(lane, event)
                if event["event"] in ("end", "gone"):
                    alive.remove(lane)
            for other in list(alive):
                if other.running and self.keys.index(other.running) > self.limit:
                    self.tree.end(other.name)  # nobody waits for its answer any more
                    alive.remove(other)
        for lane in lanes:
            self.tree.end(lane.name)

    def hear(self, lane: Lane, event: dict[str, Any]) -> None:
        kind, key = event.pop("event"), event.pop("idea")
        event["event"] = kind
        if kind == "begin":
            lane.running, lane.began = key, time.monotonic()
        elif kind == "gone":
            if lane.running:
                self.fail(lane.running, ended_by_somebody(lane.process.wait()))
            elif not self.result.problem:
                self.result.problem = f"The tests could not be run.\n{lane.last_words()}"
        elif kind == FAILED:
            lane.running = ""
            # That the project does not start is said once, of the idea that it starts.
            is_start = event.get("did_not_start") and START in self.keys
            self.fail(START if is_start else key, event)
        elif kind in (PASSED, SKIPPED):
            lane.running = ""
            self.decide(key, kind, event)

    def fail(self, key: str, details: dict[str, Any]) -> None:
        if self.stop_at_first:
            self.limit = min(self.limit, self.keys.index(key))
            fresh = self.claims / f"{LIMIT}.new"
            fresh.write_text(str(self.limit))
            fresh.replace(self.claims / LIMIT)
        self.decide(key, FAILED, details)

    def decide(self, key: str, state: str, details: dict[str, Any]) -> None:
        decision = self.result.decisions[self.keys.index(key)]
        if decision.state != NOT_REACHED:
            return
        decision.state, decision.details = state, details
        decision.seconds = details.get("seconds", 0.0)
        self.on_decided(decision)

    def end_what_takes_too_long(self, lanes: list[Lane]) -> None:
        """A test whose own limit does not end it, or a check that takes too long as a whole."""
        for lane in sorted(lanes, key=lambda lane: not lane.running):  # what runs tells why
            is_late = time.monotonic() > self.deadline
            if is_late or time.monotonic() > lane.began + 2 * IDEA_LIMIT:
                if lane.running:
                    key, lane.running = lane.running, ""
                    self.fail(key, took_too_long())
                elif not self.result.first_failed:
                    self.result.problem = "The tests did not come to an end in time."
                self.tree.end(lane.name)
                lanes.remove(lane)  # its end is no news any more


def ended_by_somebody(code: int) -> dict[str, str]:
    return {
        "expected": "the project leaves other processes alone",
        "seen": f"the process that ran this test was ended (exit code {code})",
        "usually": "code of the project kills its parent, or the machine had no memory left",
    }


def took_too_long() -> dict[str, str]:
    return {
        "expected": "this is decided within the check's limit of time",
        "seen": "nothing that decides it",
        "usually": "something waits for ever, or the machine is very busy",
    }
