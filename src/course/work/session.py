"""A chapter's tests on a project, as ideas that are decided one by one.

The ideas are given out, one at a time, to processes that judge them side by side: see lanes.py.
"""

import errno
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector

from course.content.ideas import FAILED, NOT_REACHED, PASSED, SKIPPED, START, Idea
from course.processes.limits import LimitWatcher
from course.processes.tree import ProcessTree
from course.testkit.events import Event, Failed, Failure, Passed, Ready, Skipped
from course.work.lanes import Kind, Lane, start_lane

IDEA_LIMIT = 60.0  # seconds that one test may take; a start may take 40 on a busy machine
ALL_LIMIT = 240.0  # seconds that a check may take, on a machine that is busy with other things


@dataclass
class Decision:
    """What is known about one idea."""

    idea: Idea
    state: str = NOT_REACHED
    seconds: float = 0.0
    failure: Failure | None = None
    remark: str = ""  # of one that holds: how it goes beyond the chapter


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
    lanes: int = 3,
    stop_at_first: bool = True,
    first: Sequence[str] = (),
    limit: float = ALL_LIMIT,
    tree: ProcessTree | None = None,
    with_wires: bool = False,
    on_judged: Callable[[Decision], None] | None = None,
) -> Result:
    """Decide the ideas on that project. What comes after the first that fails is not reached.

    `on_decided` hears of them in their order, whatever the order in which they were judged; those
    named in `first`, which failed the last time, are judged before the others. `on_judged` hears of
    each as soon as it is judged. The project is kept within limits, no matter who wrote it: see
    processes/limits.py. With wires, a failure has what passed between the processes last.

    Until the first answer there is one lane: several that start at once would delay it.
    """
    result = Result([Decision(idea) for idea in ideas])
    try:
        with (
            nullcontext(tree) if tree else ProcessTree() as ours,
            LimitWatcher(ours, project) as watcher,
        ):
            check = Check(
                result,
                project,
                on_decided,
                ours,
                stop_at_first,
                first,
                limit,
                with_wires,
                on_judged,
            )
            check.run(Kind.for_ideas(ideas, lanes))
        if watcher.problem:
            result.problem = f"The project was ended. {watcher.problem}"
    except OSError as error:
        if error.errno in (errno.EPIPE, errno.EIO):
            raise  # no one reads what is printed any more
        result.problem = (
            f"The check's folder for temporary files is gone, or cannot be written to: {error}. "
            "Code of the project may have deleted it; TMPDIR names another place."
        )
    return result


class Check:
    """One check under way."""

    def __init__(
        self,
        result: Result,
        project: Path,
        on_decided: Callable[[Decision], None],
        tree: ProcessTree,
        stop_at_first: bool,
        first: Sequence[str],
        limit: float,
        with_wires: bool,
        on_judged: Callable[[Decision], None] | None = None,
    ) -> None:
        self.with_wires, self.on_judged = with_wires, on_judged
        self.project, self.on_decided, self.tree = project, on_decided, tree
        self.stop_at_first, self.first = stop_at_first, first
        self.started = time.monotonic()
        self.deadline = self.started + limit
        self.result = result
        self.ideas = ideas = [decision.idea for decision in result.decisions]
        self.numbers = {idea.key: number for number, idea in enumerate(ideas)}
        self.waiting = list(ideas)  # those that no lane has been given
        self.limit = len(ideas)  # the number of the first idea that failed
        self.reported = 0  # how many decisions on_decided has heard of
        self.lanes: list[Lane] = []
        self.later: list[Kind] = []  # lanes that are started after the first answer
        self.selector = DefaultSelector()

    def run(self, kinds: list[Kind]) -> None:
        first, *self.later = kinds
        with self.selector:
            self.start(first)
            self.watch()
            # What ended a lane from outside may have ended the last one that took ideas.
            if self.next_for(Kind.MAIN) and self.is_open():
                self.start(Kind.MAIN)
                self.watch()
        self.tell(even_not_reached=not self.result.problem)
        self.result.seconds = round(time.monotonic() - self.started, 1)

    def start(self, kind: Kind) -> None:
        lane = start_lane(kind, self.project, self.ideas, self.tree, IDEA_LIMIT, self.with_wires)
        self.lanes.append(lane)
        self.selector.register(lane.link, EVENT_READ, lane)

    def is_open(self) -> bool:
        return not self.result.problem and time.monotonic() < self.deadline

    def watch(self) -> None:
        while self.lanes and not self.result.problem:
            for key, _ in self.selector.select(timeout=0.2):
                lane: Lane = key.data
                if lane in self.lanes:  # it may have been ended by what another one said
                    for event in lane.read():
                        self.note(lane, event)
                    if lane.is_gone:
                        self.note_end(lane)
            self.end_what_takes_too_long()
        for lane in list(self.lanes):
            self.end(lane)

    def next_for(self, kind: Kind) -> Idea | None:
        """What a lane of that kind judges next: what failed last time, then what it is best at."""
        open_ones = [idea for idea in self.waiting if self.numbers[idea.key] < self.limit]
        mine = kind.order(open_ones)
        return min(mine, key=lambda idea: idea.key not in self.first, default=None)

    def note(self, lane: Lane, event: Event) -> None:
        match event:
            case Failed(key, seconds, failure, did_not_start):
                # That the project does not start is said once, of the idea that it starts.
                lane.running = ""
                is_start = did_not_start and START in self.numbers
                self.fail(START if is_start else key, failure, seconds)
            case Passed(key, seconds, remark):
                self.decide(key, PASSED, seconds, remark=remark)
            case Skipped(key, seconds):
                self.decide(key, SKIPPED, seconds)
            case Ready():
                lane.is_ready = True
        if lane in self.lanes:
            self.give_next(lane)
        if not isinstance(event, Ready):
            later, self.later = self.later, []
            for kind in later:
                if self.next_for(kind):
                    self.start(kind)

    def give_next(self, lane: Lane) -> None:
        idea = self.next_for(lane.kind)
        if idea:
            self.waiting.remove(idea)
            lane.judge(idea)
        else:
            self.end(lane)

    def note_end(self, lane: Lane) -> None:
        code = lane.process.wait()
        if lane.running and code < 0:
            self.fail(lane.running, ended_from_outside(code))
        elif (lane.running or not lane.is_ready) and not self.result.problem:
            self.result.problem = f"The tests could not be run.\n{lane.last_words()}"
        self.end(lane)

    def end(self, lane: Lane) -> None:
        """No more of this lane. Its processes go with it."""
        self.lanes.remove(lane)
        self.selector.unregister(lane.link)
        lane.link.close()
        self.tree.end(lane.name)

    def fail(self, key: str, failure: Failure, seconds: float = 0.0) -> None:
        if self.stop_at_first:
            self.limit = min(self.limit, self.numbers[key])
        self.decide(key, FAILED, seconds, failure)
        for lane in list(self.lanes):
            if lane.running and self.numbers[lane.running] > self.limit:
                self.end(lane)  # nothing depends on its answer any more

    def decide(
        self,
        key: str,
        state: str,
        seconds: float = 0.0,
        failure: Failure | None = None,
        remark: str = "",
    ) -> None:
        decision = self.result.decisions[self.numbers[key]]
        if decision.state == NOT_REACHED:
            decision.state, decision.seconds = state, seconds
            decision.failure, decision.remark = failure, remark
            if self.on_judged:
                self.on_judged(decision)
            self.tell()

    def tell(self, even_not_reached: bool = False) -> None:
        for decision in self.result.decisions[self.reported :]:
            if decision.state == NOT_REACHED and not even_not_reached:
                return
            self.reported += 1
            self.on_decided(decision)

    def end_what_takes_too_long(self) -> None:
        """A test whose own limit does not end it, or a check that takes too long as a whole."""
        for lane in sorted(self.lanes, key=lambda lane: not lane.running):  # what runs says why
            is_late = time.monotonic() > self.deadline
            if lane in self.lanes and (is_late or time.monotonic() > lane.began + 2 * IDEA_LIMIT):
                running, lane.running = lane.running, ""
                self.end(lane)
                if running:
                    self.fail(running, took_too_long())
                elif not self.result.first_failed:
                    self.result.problem = "The tests did not come to an end in time."


def ended_from_outside(code: int) -> Failure:
    return Failure(
        "the project leaves other processes alone",
        f"the process that ran this test was ended by signal {-code}",
        usually="code of the project kills its parent, or the machine had no memory left",
    )


def took_too_long() -> Failure:
    return Failure(
        "this is decided within the check's limit of time",
        "nothing that decides it",
        usually="something waits without a limit, or the machine is very busy",
    )
