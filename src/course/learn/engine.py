"""Judges the work anew on each save, with the engine of `./course check`.

A judgement is made in a thread of its own, and each has a serial number. A new save ends the one
that runs, and what that still says is dropped: results of an older save are never shown as new.
"""

import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Self

from course.content.chapters import Chapter, all_chapters, find_chapter
from course.content.hints import hints_for
from course.content.ideas import FAILED, NOT_REACHED, PASSED, SKIPPED, START, Idea, ideas_of
from course.content.printable import printable
from course.content.steps import (
    find_state,
    given_ideas,
    ideas_up_to,
    own_ideas,
    step_of_idea,
    steps_of,
)
from course.learn.state import (
    GREEN,
    NOT_CHECKED,
    NOT_YET,
    RED,
    ChapterState,
    Failing,
    IdeaState,
    Judgement,
    State,
    StepState,
    Store,
    WorkState,
)
from course.processes.saves import Saves
from course.processes.tree import ProcessTree
from course.testkit.events import Failure
from course.work import folder as work
from course.work.check import keeps_progress, note
from course.work.hints import NoHint, take_hint
from course.work.output import file_to_open, on_one_line, the_log_of
from course.work.progress import Progress
from course.work.session import Decision, Result, check

SHOWN = {PASSED: GREEN, FAILED: RED, SKIPPED: NOT_CHECKED, NOT_REACHED: NOT_YET}
LOG_LINES = 8  # of a process, beside what fails
LOOK_EVERY = 0.5  # seconds between two looks whether the folder is still the same one


class Engine:
    """The judge of one project. `look()` is to be called often, in one thread."""

    def __init__(self, project: Path, chapter: Chapter) -> None:
        self.project = project
        self._chapter = chapter
        self._serial = 0
        self._lock = threading.RLock()  # of the serial number, the tree and the progress
        self._tree: ProcessTree | None = None
        self._wanted = threading.Event()
        self._is_over = False
        self._saves: Saves | None = None
        self._folder: tuple[int, int] | None = None  # which folder is watched
        self._looked = 0.0
        progress = Progress.read(project)
        chapters = {one.number: chapter_state(one, progress) for one in all_chapters()}
        self.store = Store(State(chapters, self._work_state(), answers=answers_in(progress)))
        self._thread = threading.Thread(target=self._judge_each, name="judge", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._is_over = True
        self._cancel()
        self._wanted.set()
        self._thread.join(15)
        self._watch(None)

    def look(self) -> None:
        """Notice a save, and a project that has come or gone."""
        if time.monotonic() > self._looked + LOOK_EVERY:
            self._looked = time.monotonic()
            folder = identity(self.project)
            if folder != self._folder:
                self._watch(folder)
                self.store.change(lambda state: replace(state, work=self._work_state()))
                self._read_progress()
                self.judge()
        if self._saves and (saved := self._saves.take()):
            self.judge(saved=saved)

    def _watch(self, folder: tuple[int, int] | None) -> None:
        if self._saves:
            self._saves.__exit__()
        self._saves, self._folder = None, folder
        if folder:
            self._saves = Saves(self.project, self._show_problem)
            self._saves.__enter__()

    def _show_problem(self, problem: str) -> None:
        self._show(self._serial, problem=printable(problem))

    def _work_state(self) -> WorkState:
        begun = str(Progress.read(self.project).data.get("started", ""))
        return WorkState(work.shown(self.project), self.project.is_dir(), begun)

    def _read_progress(self) -> None:
        """What an earlier run, or another command, has kept."""
        progress = Progress.read(self.project)
        chapters = {one.number: chapter_state(one, progress) for one in all_chapters()}
        answers = answers_in(progress)
        self.store.change(lambda state: replace(state, chapters=chapters, answers=answers))

    # The commands.

    def begin(self, chapter: str) -> None:
        """`./course start`: raises WorkProblem if there is work already."""
        with self._lock:
            work.start(find_state(chapter), work=self.project)
            progress = Progress.read(self.project)
            progress.section("answers").update(self.store.state.answers)
            progress.save()
        self._chapter = find_chapter(chapter)

    def judge(self, chapter: str | None = None, saved: list[str] | None = None) -> None:
        """Judge the work as it is now, by that chapter or by the last one."""
        if chapter:
            self._chapter = find_chapter(chapter)
        with self._lock:
            self._serial += 1
            fresh = Judgement(
                self._serial, self._chapter.number, self.project.is_dir(), tuple(saved or [])
            )
            self.store.change(lambda state: replace(state, judgement=fresh))
        self._cancel()
        self._wanted.set()

    def hint(self) -> None:
        """Give the next hint for what fails first. Raises NoHint."""
        failing = self.store.state.judgement.failing
        if not failing or not keeps_progress(self.project):
            raise NoHint(
                "A hint is about an idea that fails, in work that ./course start has begun."
            )
        chapter = find_chapter(self.store.state.judgement.chapter)
        with self._lock:
            file = file_of(chapter, failing.key)
            take_hint(chapter, failing.key, file, Progress.read(self.project))
        self._show_hints(chapter, failing.key)

    def answer(self, question: str, choice: int) -> None:
        """Keep that this choice of a question was opened."""
        with self._lock:
            answers = self.store.state.answers
            opened = sorted({*answers.get(question, []), choice})
            answers = answers | {question: opened}
            if keeps_progress(self.project):
                progress = Progress.read(self.project)
                progress.section("answers")[question] = opened
                progress.save()
        self.store.change(lambda state: replace(state, answers=answers))

    # A judgement.

    def _cancel(self) -> None:
        with self._lock:
            tree = self._tree
        if tree:
            tree.end_for_good()

    def _is_current(self, serial: int) -> bool:
        return serial == self._serial and not self._is_over

    def _judge_each(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            if self._is_over:
                return
            with self._lock:
                serial, chapter = self._serial, self._chapter
            try:
                if self.project.is_dir():
                    self._judge(serial, chapter)
            except Exception as error:  # the next save is judged all the same
                problem = f"The work could not be judged: {type(error).__name__}: {error}"
                self._show(serial, is_running=False, problem=printable(problem))

    def _judge(self, serial: int, chapter: Chapter) -> None:
        """The first step that is not done and the next one; then further, while steps are green.

        What these two bring is judged first: that is what the student has just worked on, and what
        comes after it. What held before comes after that.
        """
        began = time.monotonic()
        steps = steps_of(chapter)
        shown = self.store.state.chapters[chapter.number].steps[1:]
        at = next((i for i, step in enumerate(shown) if step.is_open), len(steps) - 1)
        first = [idea.key for step in steps[at : at + 2] for idea in own_ideas(step)]
        step = steps[min(at + 1, len(steps) - 1)]
        ideas = ideas_up_to(step)
        while True:
            result = self._check(serial, chapter, ideas, first)
            if not self._is_current(serial):
                return
            with self._lock:
                note(step, self.project, result)
            if result.problem or result.first_failed or step == steps[-1]:
                break
            step = steps[step.number]  # its number counts from 1: this is the next one
            ideas = own_ideas(step)
        if not result.problem and not is_at_the_start(result):
            self._forget_others(serial, chapter)
        seconds = round(time.monotonic() - began, 1)
        self._show(serial, is_running=False, problem=printable(result.problem), seconds=seconds)

    def _forget_others(self, serial: int, chapter: Chapter) -> None:
        """What an older save was judged by, and this one was not, is not known any more."""

        def without(state: State) -> State:
            if state.judgement.serial != serial:
                return state
            new = undecided(state.chapters[chapter.number], serial)
            return replace(state, chapters=state.chapters | {chapter.number: new})

        self.store.change(without)

    def _check(self, serial: int, chapter: Chapter, ideas: list[Idea], first: list[str]) -> Result:
        result = Result([])
        before = self.store.state.judgement.decided
        self._show(serial, ideas=before + len(ideas))

        def show(decision: Decision) -> None:
            if self._is_current(serial):
                self._show_decision(serial, chapter, ideas, decision)
                self._show(serial, decided=self.store.state.judgement.decided + 1)

        with ProcessTree() as tree:
            with self._lock:
                if not self._is_current(serial):
                    return result
                self._tree = tree
            try:
                result = check(ideas, self.project, lanes=2, first=first, tree=tree, on_judged=show)
            finally:
                with self._lock:
                    self._tree = None
        if not result.problem and not is_at_the_start(result) and self._is_current(serial):
            for decision in result.of(NOT_REACHED):
                self._show_decision(serial, chapter, ideas, decision)
        return result

    def _show_decision(
        self, serial: int, chapter: Chapter, ideas: list[Idea], decision: Decision
    ) -> None:
        def with_decision(state: State) -> State:
            if state.judgement.serial != serial:
                return state
            new = decided(state.chapters[chapter.number], decision, serial)
            return replace(state, chapters=state.chapters | {chapter.number: new})

        self.store.change(with_decision)
        if decision.state == FAILED:
            order = [idea.key for idea in ideas]
            known = self.store.state.judgement.failing
            if not known or order.index(decision.idea.key) < order.index(known.key):
                failing = self._why(chapter, decision)
                self._show(serial, failing=failing)
                self._show_hints(chapter, failing.key)

    def _show(self, serial: int, **fields: object) -> None:
        def shown(state: State) -> State:
            if state.judgement.serial != serial:
                return state
            return replace(state, judgement=replace(state.judgement, **fields))  # type: ignore[arg-type]

        self.store.change(shown)

    def _show_hints(self, chapter: Chapter, key: str) -> None:
        """Those that were taken for this idea, as the progress has them."""
        every = hints_for(file_of(chapter, key), key)
        with self._lock:
            given = Progress.read(self.project).section(*chapter.place, "hints")
        taken = tuple(hint.strip() for hint in every[: int(given.get(key, 0))])

        def shown(state: State) -> State:
            failing = state.judgement.failing
            if not failing or failing.key != key:
                return state  # a new save has begun another judgement
            judgement = replace(state.judgement, hints=taken, hints_in_all=len(every))
            return replace(state, judgement=judgement)

        self.store.change(shown)

    def _why(self, chapter: Chapter, decision: Decision) -> Failing:
        failure = decision.failure or Failure("", "")
        step = step_of_idea(chapter, decision.idea.key)
        causes = (*failure.because, failure.usually)
        look_at = file_to_open(failure.look_at, self.project) if failure.look_at else ""
        return Failing(
            decision.idea.key,
            decision.idea.text,
            str(step or ""),
            as_shown(failure.expected),
            as_shown(failure.seen),
            tuple(as_shown(text) for text in causes if text),
            printable(look_at),
            tuple(printable(line) for line in failure.log[-LOG_LINES:]),
            the_log_of(failure.log_of) if failure.log else "",
        )


def is_at_the_start(result: Result) -> bool:
    """The project does not start: that says nothing of the ideas, and what held is still shown."""
    return result.first_failed is not None and result.first_failed.idea.key == START


def file_of(chapter: Chapter, key: str) -> Path:
    """The test file of an idea."""
    return next(idea.file for idea in ideas_of(chapter) if idea.key == key)


def as_shown(text: str) -> str:
    return printable(on_one_line(text))


def identity(folder: Path) -> tuple[int, int] | None:
    """Which folder this is: another one may have come in its place."""
    with suppress(OSError):
        if folder.is_dir():
            found = folder.stat()
            return found.st_dev, found.st_ino
    return None


def chapter_state(chapter: Chapter, progress: Progress) -> ChapterState:
    """The chapter as the progress knows it."""
    passed, failed = progress.passed(chapter), progress.failed(chapter)

    def idea_state(idea: Idea) -> IdeaState:
        state = RED if idea.key in failed else GREEN if idea.key in passed else NOT_YET
        return IdeaState(idea.key, idea.text, state)

    given = StepState("", "What is given", "", tuple(map(idea_state, given_ideas(chapter))))
    steps = (
        StepState(str(step), step.name, step.shows, tuple(map(idea_state, own_ideas(step))))
        for step in steps_of(chapter)
    )
    return ChapterState(chapter.number, chapter.title, (given, *steps))


def decided(chapter: ChapterState, decision: Decision, serial: int) -> ChapterState:
    """The chapter with the decision in it."""

    def new(idea: IdeaState) -> IdeaState:
        is_it = idea.key == decision.idea.key
        return replace(idea, state=SHOWN[decision.state], serial=serial) if is_it else idea

    steps = tuple(replace(step, ideas=tuple(map(new, step.ideas))) for step in chapter.steps)
    return replace(chapter, steps=steps)


def undecided(chapter: ChapterState, serial: int) -> ChapterState:
    """The chapter without what judgements other than this one have decided."""

    def new(idea: IdeaState) -> IdeaState:
        return idea if idea.serial == serial else replace(idea, state=NOT_YET)

    steps = tuple(replace(step, ideas=tuple(map(new, step.ideas))) for step in chapter.steps)
    return replace(chapter, steps=steps)


def answers_in(progress: Progress) -> dict[str, list[int]]:
    """What the progress has of the questions; what is no answer in it is left out."""
    kept = progress.data.get("answers")
    return {
        str(question): [choice for choice in choices if isinstance(choice, int)]
        for question, choices in (kept if isinstance(kept, dict) else {}).items()
        if isinstance(choices, list)
    }
