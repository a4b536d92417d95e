"""How a check gives its ideas out, and in which order it says what was decided."""

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from course.content.chapters import all_chapters, find_chapter
from course.content.exercises import ideas_to_check
from course.content.ideas import FAILED, NOT_REACHED, PASSED, START, ideas_of
from course.content.printable import printable
from course.content.steps import find_state
from course.testkit.events import (
    Event,
    Failed,
    Failure,
    Order,
    Passed,
    Ready,
    Skipped,
    decode,
    encode,
)  # fmt: skip
from course.work.lanes import Kind
from course.work.output import Lines, by_cause, counts
from course.work.session import Check, Decision, Result

IDEAS = ideas_of(find_chapter("05"))
FAILURE = Failure("a", "b", ["c"], "d", "e:1", ["f"], "web", [], "g")


@pytest.mark.parametrize(
    "event",
    [Ready(), Passed("k", 0.5), Skipped("k", 0.0, "why"), Failed("k", 1.0, FAILURE, True)],
    ids=lambda event: type(event).__name__,
)
def test_events_come_back_as_they_were_sent(event: Event) -> None:
    """An event is one line, whatever is in it."""
    assert encode(event).count("\n") == 1
    assert decode(encode(event)) == event


def test_order_comes_back_as_it_was_sent() -> None:
    """So does what a lane is started with."""
    order = Order(Path("/tmp/a b"), ["x::y"], True, 5.0)
    assert Order.decode(order.encode()) == order


class NoTree:
    """A check that is not run starts nothing."""


def a_check(heard: list[Decision], **options: Any) -> Check:
    given: dict[str, Any] = {"stop_at_first": True, "first": (), "limit": 10.0}
    given["with_wires"] = False
    tree: Any = NoTree()
    result = Result([Decision(idea) for idea in IDEAS])
    return Check(result, Path(), heard.append, tree, **given | options)


def test_every_idea_has_a_lane() -> None:
    """Side by side, the lanes take each idea of a chapter; a single lane takes them all."""
    for chapter in all_chapters():
        ideas = ideas_of(chapter)
        assert set(Kind.MAIN.order(ideas)) == set(Kind.PAGE.order(ideas)) == set(ideas)
        assert {idea.key for idea in Kind.OWN.order(ideas)} == {
            idea.key for idea in ideas if not idea.needs_project
        }
        assert Kind.for_ideas(ideas, 1) == [Kind.MAIN]
        assert Kind.for_ideas(ideas, 3)[:2] == [Kind.MAIN, Kind.PAGE]


def test_who_waits_for_the_first_answer_hears_of_each_at_once() -> None:
    """`on_judged` is called in the order of the answers, `on_decided` in that of the ideas."""
    heard: list[Decision] = []
    judged: list[Decision] = []
    check = a_check(heard, on_judged=judged.append)
    for number in (2, 0, 1):
        check.decide(IDEAS[number].key, PASSED)
    assert [IDEAS.index(decision.idea) for decision in judged] == [2, 0, 1]
    assert [IDEAS.index(decision.idea) for decision in heard] == [0, 1, 2]


def test_what_failed_last_time_is_judged_first() -> None:
    """A lane's first idea is one that failed in the last check, then the first of its own."""
    last = [idea for idea in Kind.MAIN.order(IDEAS) if idea.needs_project][5].key
    check = a_check([], first=[last])
    first = check.next_for(Kind.MAIN)
    assert first
    assert first.key == last
    check.waiting.remove(first)
    second = check.next_for(Kind.MAIN)
    assert second
    assert second.key == START


def test_decisions_are_told_in_order() -> None:
    """Whatever the order of judging; what is not reached is told in the end."""
    heard: list[Decision] = []
    check = a_check(heard)
    check.decide(IDEAS[2].key, PASSED)
    assert heard == []
    check.decide(IDEAS[0].key, PASSED)
    check.decide(IDEAS[1].key, PASSED)
    assert [decision.idea for decision in heard] == IDEAS[:3]
    check.fail(IDEAS[3].key, FAILURE)
    assert heard[-1].failure == FAILURE
    check.tell(even_not_reached=True)
    assert [decision.idea for decision in heard] == IDEAS
    assert heard[-1].state == NOT_REACHED


def test_nothing_after_the_first_failure_is_begun() -> None:
    """What stands before it is judged still, what stands after it is not."""
    check = a_check([])
    check.fail(IDEAS[4].key, FAILURE)
    open_ones = set()
    while idea := check.next_for(Kind.MAIN):
        check.waiting.remove(idea)
        open_ones.add(idea.key)
    assert open_ones == {idea.key for idea in IDEAS[:4]}
    everything = a_check([], stop_at_first=False)
    everything.fail(IDEAS[4].key, FAILURE)
    assert everything.limit == len(IDEAS)


def test_same_cause_is_explained_once() -> None:
    """Ideas that fail for one reason stand under the first of them."""
    other = Failure("a", "b", cause="other")
    failed = [Decision(idea, FAILED, 0.0, FAILURE) for idea in IDEAS[:3]]
    failed.insert(1, Decision(IDEAS[4], FAILED, 0.0, other))
    assert [len(same) for same in by_cause(failed)] == [3, 1]


def test_counts_say_what_is_new() -> None:
    """New ideas by their number, those from before in one clause."""
    decisions = [Decision(idea, PASSED if not idea.is_new else NOT_REACHED) for idea in IDEAS]
    new = sum(idea.is_new for idea in IDEAS)
    assert counts(Result(decisions)) == (
        f"0 of {new} new ideas hold; {len(IDEAS) - new} given ones hold"
    )
    given = ideas_to_check(find_state("04.1"))  # a step that brings none
    held = Result([Decision(idea, PASSED) for idea in given])
    assert counts(held) == f"{len(given)} given ideas hold"


def test_what_was_not_reached_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Ideas that hold from before are counted where they stand, those not reached at the end."""
    given = [idea for idea in IDEAS if not idea.is_new and idea.key != START]
    new = [idea for idea in IDEAS if idea.is_new]
    lines = Lines(Console(width=100), find_state("05.2"), is_verbose=False)
    lines.say(Decision(given[0], PASSED))
    lines.say(Decision(new[0], FAILED, 0.0, FAILURE))
    for number, idea in enumerate(given[1:7]):
        lines.say(Decision(idea, PASSED if number % 2 else NOT_REACHED))
    lines.end()
    before, failed, *rest = capsys.readouterr().out.splitlines()
    assert before == "✓ 1 given idea holds"
    assert failed.startswith("✗ ")
    assert rest == [
        "✓ 3 given ideas hold",
        "· 3 ideas after that (not reached)",
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [("\ud800", "\\ud800"), ("a\udcffb", "a\\xffb"), ("\x1b[2J", "\\x1b[2J"), ("\n\té", "\n\té")],
)
def test_whatever_a_project_sends_can_be_shown(text: str, shown: str) -> None:
    """A half of a surrogate pair, a byte that is no UTF-8, an escape code."""
    assert printable(text) == shown
    printable(text).encode()
