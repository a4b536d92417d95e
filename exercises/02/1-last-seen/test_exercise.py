"""Chapter 2, exercise 1: the client says which state it has seen."""

import time
import uuid
from urllib.parse import parse_qs, urlsplit

import httpx
from playwright.sync_api import Page, Request
from playwright.sync_api import expect as expect_page

from course.testkit import NotAsExpected, RunningProject, eventually, expect, expect_that

VIEWS = "project/subscriptions/views.py"
FOLLOW = "project/subscriptions/static/follow.js"


def ask(project: RunningProject, task_id: str, wait: float, state: str) -> tuple[str, float]:
    """Ask with ?wait= and &state=; return the state and the seconds until the answer."""
    __tracebackhide__ = True
    start = time.monotonic()
    question: dict[str, str | float] = {"wait": wait, "state": state}
    url = f"{project.url}/task_status/{task_id}"
    try:
        answer = project.http.get(url, params=question, timeout=wait + 2)
    except httpx.ReadTimeout:
        raise NotAsExpected(
            f"an answer to GET /task_status?wait={wait}&state={state} within {wait + 2:g} s",
            "none",
            "the view waits without looking at its limit",
            VIEWS,
        ) from None
    expect(f"the status of GET with state={state}", answer.status_code, 200, look_at=VIEWS)
    return str(answer.json()["state"]), time.monotonic() - start


def until_state(project: RunningProject, task_id: str, state: str) -> None:
    __tracebackhide__ = True
    eventually(
        lambda: project.status(task_id)["state"], lambda s: s == state, f"it is {state}", within=5
    )


def test_missed_change_is_told_at_once(project: RunningProject) -> None:
    """A change that came between two requests is answered at once, a retry too."""
    task_id = project.subscribe(f"busy+1@{uuid.uuid4().hex}.example.com")
    until_state(project, task_id, "RETRY")
    state, seconds = ask(project, task_id, wait=5, state="STARTED")
    expect(
        "the state that is sent to a client that has seen STARTED",
        state,
        "RETRY",
        usually="the view compares with the state at the request's begin, not with `state`",
        look_at=VIEWS,
    )
    expect_that(
        seconds < 0.5,
        "an answer at once, as the client has seen another state",
        f"one after {seconds:.1f} s",
        usually="the view waits once before it compares",
        look_at=VIEWS,
    )
    project.until_final(task_id)


def test_what_was_seen_is_no_news(project: RunningProject) -> None:
    """A state that the client has seen is not sent again: the answer waits for the next one."""
    task_id = project.subscribe("slow+1@example.com")
    until_state(project, task_id, "STARTED")
    state, _ = ask(project, task_id, wait=8, state="STARTED")
    expect("the state after STARTED", state, "SUCCESS", look_at=VIEWS)
    state, seconds = ask(project, str(uuid.uuid4()), wait=0.7, state="PENDING")
    expect("the state of an unknown task", state, "PENDING", look_at=VIEWS)
    expect_that(
        0.6 < seconds < 2,
        "an answer after the wait of 0.7 s",
        f"one after {seconds:.1f} s",
        usually="with `state` the limit of time is not looked at, or there is no wait",
        look_at=VIEWS,
    )


def test_unknown_state_is_refused(project: RunningProject) -> None:
    """A state that Celery does not have is answered with 422."""
    url = f"{project.url}/task_status/{uuid.uuid4()}"
    answer = project.http.get(url, params={"wait": 0, "state": "SLEEPING"})
    expect(
        "the status with state=SLEEPING",
        answer.status_code,
        422,
        usually="the parameter is a plain str: a Literal or an Enum bounds it",
        look_at=VIEWS,
    )


def test_page_says_what_it_shows(project: RunningProject, page: Page) -> None:
    """In every request but the first the page names the state that it shows."""
    asked: list[str | None] = []

    def note(request: Request) -> None:
        if "/task_status/" in request.url:
            asked.append(parse_qs(urlsplit(request.url).query).get("state", [None])[0])

    page.goto(project.url)
    page.on("request", note)
    page.get_by_label("e-mail").fill("slow+1@example.com")
    page.get_by_role("button").click()
    expect_page(page.get_by_role("status")).to_contain_text("SUCCESS")
    expect_that(
        asked[-1] == "STARTED" and None not in asked[1:],
        "state=STARTED in the page's last request, and a state in all but the first",
        f"states asked for: {asked}",
        usually="the page does not keep body.state from one round to the next",
        look_at=FOLLOW,
    )
