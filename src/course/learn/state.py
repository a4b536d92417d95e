"""The state that the page shows: one tree of plain values, and the store that holds it."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from itertools import count, islice
from typing import Any

GREEN, RED, NOT_YET, NOT_CHECKED = "green", "red", "not yet", "not checked"
NO_CHECK = "no check"  # a step that only explains brings no idea
STOPPED, STARTING, RUNNING, STOPPING = "stopped", "starting", "running", "stopping"
KEPT_LINES = 400  # of the log of the processes


@dataclass(frozen=True)
class IdeaState:
    key: str
    text: str
    state: str = NOT_YET
    serial: int = 0  # of the judgement that decided it; 0: an earlier run of the command


@dataclass(frozen=True)
class StepState:
    """A step, or, with the name "", what is given from the start."""

    name: str  # "04.2"
    title: str
    shows: str
    ideas: tuple[IdeaState, ...]

    @property
    def state(self) -> str:
        states = {idea.state for idea in self.ideas}
        if not states:
            return NO_CHECK
        if RED in states:
            return RED
        return GREEN if states <= {GREEN, NOT_CHECKED} else NOT_YET

    @property
    def is_open(self) -> bool:
        return self.state in (RED, NOT_YET)

    def is_judged_by(self, serial: int) -> bool:
        return all(idea.serial == serial for idea in self.ideas)


@dataclass(frozen=True)
class ChapterState:
    number: str
    title: str
    steps: tuple[StepState, ...]  # the first one: what is given

    @property
    def is_done(self) -> bool:
        return not any(step.is_open for step in self.steps)

    @property
    def open_step(self) -> StepState | None:
        """The first that has not been done yet."""
        return next((step for step in self.steps if step.name and step.is_open), None)


@dataclass(frozen=True)
class Failing:
    """Why the first idea that fails does."""

    key: str
    text: str
    step: str  # that brings it; "": it is given
    expected: str
    seen: str
    usually: tuple[str, ...]
    look_at: str
    log: tuple[str, ...]
    log_of: str


@dataclass(frozen=True)
class Judgement:
    """What is known of the last save: a new one has a new serial number."""

    serial: int = 0
    chapter: str = ""  # by which the work is judged
    is_running: bool = False
    saved: tuple[str, ...] = ()  # the files whose save began it
    problem: str = ""  # why it could not be made
    failing: Failing | None = None
    hints: tuple[str, ...] = ()  # those that were taken for what fails first
    hints_in_all: int = 0
    seconds: float = 0.0
    decided: int = 0  # ideas, of those that are judged
    ideas: int = 0


@dataclass(frozen=True)
class WorkState:
    folder: str = ""
    exists: bool = False
    begun: str = ""  # the chapter that it was begun for


@dataclass(frozen=True)
class RunState:
    """The student's app: its processes, its page and its wires."""

    state: str = STOPPED
    problem: str = ""
    page: str = ""
    page_answers: bool = False
    starts: int = 0  # how often its page has answered after a start: another number, reload it
    wires: str = ""
    redis: str = ""  # its address
    processes: dict[str, int | None] = field(default_factory=dict)  # exit codes; None: it runs


@dataclass(frozen=True)
class State:
    chapters: dict[str, ChapterState]
    work: WorkState = WorkState()
    judgement: Judgement = Judgement()
    run: RunState = RunState()
    answers: dict[str, list[int]] = field(default_factory=dict)  # question: choices opened


@dataclass(frozen=True)
class Line:
    number: int  # counted from 1, never used again
    process: str
    text: str


class Store:
    """The one state. Any thread may change it; `on_change` is called after each change."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._lines: deque[Line] = deque(maxlen=KEPT_LINES)
        self._numbers = count(1)
        self._lock = threading.RLock()
        self.on_change: Callable[[], None] = lambda: None

    @property
    def state(self) -> State:
        return self._state

    def change(self, make: Callable[[State], State]) -> None:
        """Replace the state by what `make` makes of it."""
        with self._lock:
            before, self._state = self._state, make(self._state)
            is_new = before != self._state
        if is_new:
            self.on_change()

    def change_run(self, **fields: Any) -> None:
        self.change(lambda state: replace(state, run=replace(state.run, **fields)))

    def add_line(self, process: str, text: str) -> None:
        with self._lock:
            self._lines.append(Line(next(self._numbers), process, text))
        self.on_change()

    def lines_after(self, number: int) -> list[Line]:
        with self._lock:
            new = self._lines[-1].number - number if self._lines else 0
            return list(islice(self._lines, max(0, len(self._lines) - new), None))


def as_parts(state: State, lesson: str) -> dict[str, Any]:
    """The state as the page of that lesson is sent it, in parts that are sent when they change."""
    chapter = state.chapters[lesson]
    serial = state.judgement.serial if state.judgement.chapter == lesson else 0
    steps = [
        {
            "name": step.name,
            "title": step.title,
            "shows": step.shows,
            "state": step.state,
            "is_current": step.is_judged_by(serial),
            "ideas": [[idea.text, idea.state] for idea in step.ideas],
        }
        for step in chapter.steps
    ]
    open_step = chapter.open_step
    return {
        "work": asdict(state.work),
        "judgement": asdict(state.judgement),
        "chapter": {
            "number": chapter.number,
            "title": chapter.title,
            "is_done": chapter.is_done,
            "open_step": open_step.name if open_step else "",
            "steps": steps,
        },
        "run": asdict(state.run),
        "answers": state.answers,
    }
