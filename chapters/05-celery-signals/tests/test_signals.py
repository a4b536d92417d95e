"""Chapter 5: the worker publishes at once, whatever the task and however it ends."""

import re
import time
import uuid
from collections.abc import Callable

import pytest
from playwright.sync_api import Page
from playwright.sync_api import expect as expect_page

from course.processes import redis_server
from course.testkit import NotAsExpected, RunningProject, Web, eventually, expect, expect_that

CELERY = "project/celery_utils.py"
PUBLISH = "project/ws"
NOT_PUBLISHED = "no process publishes when a task ends; only the fallback poll finds it"


@pytest.fixture
def patient_web(project: RunningProject) -> Web:
    """A web process that hardly ever polls: it depends on messages."""
    return project.web_with(WS_FALLBACK_POLL_SECONDS="60")


def published_elsewhere(commands: list[str], subscribed: set[str]) -> str:
    """That what is published goes to a channel to which nobody subscribes, if it does."""
    published = [
        command.split()[1] for command in commands if command.upper().startswith("PUBLISH ")
    ]
    others = {one for one in published if one not in subscribed and "celery-task-meta" not in one}
    if not others or not subscribed:
        return ""
    return (
        f"it is published to the channel {min(others)}, and the view subscribes to "
        f"{min(subscribed)}"
    )


@pytest.mark.parametrize(
    ("email", "state"),
    # Longer than the second after which chapter 6 polls for the first time.
    [("slow+1.5@example.com", "SUCCESS"), ("refused@example.com", "FAILURE")],
)
def test_end_is_told_at_once(
    project: RunningProject, patient_web: Web, email: str, state: str
) -> None:
    """The client is notified the moment the task ends, and the task did nothing for it."""
    task_id = project.subscribe(email)
    with (
        project.watch_redis() as commands,
        project.follow(task_id, patient_web) as follower,
    ):
        start = time.monotonic()
        try:
            last = follower.until_final(within=4, usually=NOT_PUBLISHED, look_at=CELERY)
        except NotAsExpected as late:
            about_it = [command for command in commands() if task_id in command]
            if reason := published_elsewhere(about_it, project.channels()):
                raise NotAsExpected(late.expected, late.seen, reason, PUBLISH) from None
            raise
        seconds = time.monotonic() - start
        expect("the last state", last["state"], state)
        expect_that(
            seconds < 3.3,
            "the client is notified within moments",
            f"it is notified {seconds:.1f} s after the socket was opened",
            usually=NOT_PUBLISHED,
            look_at=CELERY,
        )


def test_retry_is_told(project: RunningProject, patient_web: Web) -> None:
    """The client is notified of a retry, too, and then of the success."""
    address = f"busy+1@{uuid.uuid4().hex}.example.com"
    with project.follow(project.subscribe(address), patient_web) as follower:
        expect(
            "the last state",
            follower.until_final(within=4, usually=NOT_PUBLISHED, look_at=CELERY)["state"],
            "SUCCESS",
        )
        expect_that(
            "RETRY" in follower.states,
            "RETRY among the states",
            follower.states,
            usually="the handler is connected to task_success, or publishes final states alone",
            look_at=CELERY,
        )


def test_unheard_message_is_made_good(own_project: Callable[..., RunningProject]) -> None:
    """A message that reaches no web process is made good by the fallback poll."""
    project = own_project("newsletter", "web")
    with redis_server() as elsewhere:
        project.wait_worker(project.launch_worker(WS_MESSAGE_QUEUE=elsewhere.url))
        with project.follow(project.subscribe("slow+0.2@example.com")) as follower:
            last = follower.until_final(
                within=12,
                usually="the view relies on messages alone: it needs a fallback poll",
            )
        expect("the last state", last["state"], "SUCCESS")


def test_page_is_told_within_moments(project: RunningProject, patient_web: Web, page: Page) -> None:
    """The page shows the result within half a second of the task's end, in a few frames."""
    page.goto(patient_web.url)
    page.get_by_label("e-mail").fill("slow+0.6@example.com")
    page.get_by_role("button").click()
    expect_page(page.get_by_role("status")).to_contain_text("SUCCESS")
    costs = re.compile("1 request, 1 socket, [23] frames")
    expect_page(page.locator("#totals")).to_contain_text(costs)
    shown = page.locator("#latency").inner_text()
    late = int(shown.split()[1])
    expect_that(late < 500, "the page is notified within half a second", shown, look_at=CELERY)


def test_following_costs_little(project: RunningProject, patient_web: Web) -> None:
    """However long a task takes, the web process hardly ever queries its state."""
    task_id = project.subscribe("slow+1.5@example.com")
    # The worker queries, too, each time it stores a state: it has stored STARTED before we count.
    eventually(
        lambda: project.status(task_id)["state"], lambda s: s == "STARTED", "it starts", within=5
    )
    with project.follow(task_id, patient_web) as follower:
        follower.next()
        with project.watch_lookups(task_id) as count:
            expect(
                "the last state",
                follower.until_final(within=4, usually=NOT_PUBLISHED, look_at=CELERY)["state"],
                "SUCCESS",
            )
            lookups = count()
        # The worker queries, too: before it stores a state, and to publish what the backend holds.
        expect_that(
            lookups <= 4,
            "at most 4 queries for a task of 1.5 s, three of them the worker's",
            f"{lookups}",
            usually="the view polls, as in chapter 3, although it receives messages",
            look_at="project/ws/views.py",
        )
