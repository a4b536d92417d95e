"""What passes between the processes in each chapter, while the page follows one task."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page
from playwright.sync_api import expect as expect_page

from course.content.chapters import find_chapter
from course.testkit import running
from course.wires import Event

EMAIL = "slow+2.6@example.com"  # seconds of the task
TASK = "TASK"  # in the lists: the task's id

START = [
    "browser -> web: POST /subscriptions",
    "web -> Redis: LPUSH celery TASK",
    "web -> browser: 202",
]
WORK = [
    "web -> Redis: LPUSH celery TASK",
    "Redis -> worker: BRPOP celery: TASK",
    "worker -> Redis: SETEX celery-task-meta-TASK STARTED",
    "worker -> newsletter: POST /subscribers",
    "newsletter -> worker: 201",
    "worker -> Redis: SETEX celery-task-meta-TASK SUCCESS",
]


def query(state: str) -> list[str]:
    reply = "nil" if state == "PENDING" else state
    return ["web -> Redis: GET celery-task-meta-TASK", f"Redis -> web: {reply}"]


def poll(state: str) -> list[str]:
    return ["browser -> web: GET /task_status/TASK", *query(state), f"web -> browser: 200 {state}"]


def frame(state: str) -> str:
    return f"web -> browser: frame {state}"


HANDSHAKE = ["browser -> web: GET /ws/task_status/TASK (upgrade)", "web -> browser: 101"]
CLOSE = ["web -> browser: close 1000", "browser -> web: close 1000"]
NOTIFIED = [
    "worker -> Redis: SETEX celery-task-meta-TASK SUCCESS",
    "worker -> Redis: PUBLISH TASK SUCCESS",
    "Redis -> web: message on TASK: SUCCESS",
    frame("SUCCESS"),
    "web -> browser: close 1000",
    "web -> Redis: UNSUBSCRIBE TASK",
]

# Each list holds in its order. Several, where what two processes do may come in either order.
LISTS: dict[str, list[list[str]]] = {
    "01": [[*START, *poll("STARTED"), *poll("STARTED"), *poll("SUCCESS")], WORK],
    "02": [
        [
            *START,
            "browser -> web: GET /task_status/TASK?wait=20",
            *query("STARTED"),
            *query("STARTED"),
            *query("STARTED"),
            *query("SUCCESS"),
            "web -> browser: 200 SUCCESS",
        ],
        WORK,
    ],
    "03": [
        [
            *START,
            *HANDSHAKE,
            frame("STARTED"),
            *query("STARTED"),
            *query("STARTED"),
            *query("SUCCESS"),
            frame("SUCCESS"),
            *CLOSE,
        ],
        WORK,
    ],
    # The chapter's task publishes at its start; its end is found by the fallback poll.
    "04": [
        [
            *START,
            *HANDSHAKE,
            "web -> Redis: SUBSCRIBE TASK",
            "web -> Redis: GET celery-task-meta-TASK",
            "newsletter -> worker: 201",
            *query("SUCCESS"),
            frame("SUCCESS"),
            "web -> browser: close 1000",
            "web -> Redis: UNSUBSCRIBE TASK",
        ],
        [*WORK[:3], "worker -> Redis: PUBLISH TASK STARTED", *WORK[3:]],
    ],
    "05": [
        [
            *START,
            *HANDSHAKE,
            "web -> Redis: SUBSCRIBE TASK",
            "web -> Redis: GET celery-task-meta-TASK",
            "web -> browser: frame STATE",
            "newsletter -> worker: 201",
            *NOTIFIED,
        ],
        [*WORK, *NOTIFIED[1:]],
    ],
}
ABSENT = {
    "01": ["PUBLISH", "SUBSCRIBE TASK", "upgrade"],
    "02": ["PUBLISH", "SUBSCRIBE TASK", "upgrade"],
    "03": ["PUBLISH", "SUBSCRIBE TASK"],
}


def as_text(event: Event, task_id: str) -> str:
    short = f"{task_id[:4]}…"
    return f"{event.sender} -> {event.receiver}: {event.what}".replace(short, TASK)


def pattern(wanted: str) -> re.Pattern[str]:
    return re.compile(re.escape(wanted).replace("STATE", "(PENDING|STARTED)"))


def missing_in(texts: list[str], wanted: list[str]) -> str | None:
    """The first line of the list that does not come in its turn."""
    left = iter(texts)
    return next(
        (line for line in wanted if not any(pattern(line).fullmatch(text) for text in left)), None
    )


@contextmanager
def played(number: str, page: Page) -> Iterator[tuple[list[Event], list[str]]]:
    """The events of one task that the chapter's own page has followed to its end."""
    chapter = find_chapter(number)
    # As the chapter is: the fallback poll of the test kit's settings would come too often.
    with running(chapter.folder, settings={}, with_wires=True) as project:
        assert project.tap
        page.goto(project.url)
        page.get_by_label("e-mail").fill(EMAIL)
        page.get_by_role("button").first.click()
        posted = project.tap.wait_for(lambda e: e.what == "POST /subscriptions" and bool(e.task_id))
        task_id = str(posted.task_id)
        expect_page(page.get_by_role("status")).to_contain_text("SUCCESS", timeout=15_000)
        last = LISTS[number][0][-1].partition(": ")[2].replace(TASK, f"{task_id[:4]}…")
        project.tap.wait_for(lambda e: e.task_id == task_id and e.what == last)
        events = project.tap.events(task_id)
        yield events, [as_text(event, task_id) for event in events]


@pytest.mark.thorough
@pytest.mark.parametrize("number", LISTS)
def test_chapter_shows_its_steps(number: str, page: Page) -> None:
    """Each step of the chapter's way is seen, in order and with the right ends."""
    with played(number, page) as (events, texts):
        shown = "\n".join(texts)
        for wanted in LISTS[number]:
            missing = missing_in(texts, wanted)
            assert missing is None, f"not seen in its turn: {missing}\n{shown}"
        for words in ABSENT.get(number, []):
            assert words not in shown
        if number == "01":
            polls = [e.time for e in events if e.what.startswith("GET /task_status/")]
            pauses = [(later - sooner) / 1e9 for sooner, later in zip(polls, polls[1:])]  # noqa: B905, RUF007
            assert all(0.9 < pause < 2 for pause in pauses), pauses


def test_list_is_not_met_by_another_order() -> None:
    """The comparison itself: what is missing or out of turn is named."""
    assert missing_in(["a", "x", "b"], ["a", "b"]) is None
    assert missing_in(["b", "a"], ["a", "b"]) == "b"
    assert missing_in(["a: frame STARTED"], ["a: frame STATE"]) is None
    assert missing_in(["a: frame SUCCESS"], ["a: frame STATE"]) == "a: frame STATE"
