"""Chapter 5, exercise 1: a task is cancelled, and everybody who follows it sees that."""

import re
import uuid

import httpx
import pytest
from playwright.sync_api import Page
from playwright.sync_api import expect as expect_page

from course.testkit import RunningProject, Web, eventually, expect, expect_that

VIEWS = "project/subscriptions/views.py"
PAGE = "project/subscriptions/static/page.js"


@pytest.fixture
def patient_web(project: RunningProject) -> Web:
    """A web process that hardly ever polls: it depends on messages."""
    return project.web_with(WS_FALLBACK_POLL_SECONDS="60")


def delete(project: RunningProject, task_id: str) -> httpx.Response:
    return project.http.delete(f"{project.url}/subscriptions/{task_id}")


def cancel(project: RunningProject, task_id: str) -> None:
    __tracebackhide__ = True
    expect(
        "the status of DELETE /subscriptions/{task_id}",
        delete(project, task_id).status_code,
        202,
        usually="there is no such view, or it raises; its log has the reason",
        look_at=VIEWS,
    )


def test_running_task_is_cancelled(project: RunningProject, patient_web: Web) -> None:
    """A task that runs is ended, its followers are notified, and the worker goes on."""
    task_id = project.subscribe("slow+9@example.com")
    eventually(
        lambda: project.status(task_id)["state"], lambda s: s == "STARTED", "it starts", within=5
    )
    with project.follow(task_id, patient_web) as follower:
        follower.next()
        cancel(project, task_id)
        last = follower.until_final(
            within=4, usually="revoke() without terminate=True lets a task run on that has begun"
        )
        expect("the last state", last["state"], "REVOKED", look_at=VIEWS)
    after = project.until_final(project.subscribe("slow+0.1@example.com"))
    expect("the state of the next task", after["state"], "SUCCESS", look_at=VIEWS)


def test_waiting_task_is_cancelled(project: RunningProject, patient_web: Web) -> None:
    """A task that waits for a worker does not run to its end, and its followers are notified."""
    running = [project.subscribe("slow+2.5@example.com") for _ in range(2)]
    waiting = project.subscribe("slow+0.1@example.com")
    with project.follow(waiting, patient_web) as follower:
        expect("the state of a task that waits", follower.next()["state"], "PENDING")
        cancel(project, waiting)
        last = follower.until_final(within=6, usually="the worker does not learn of it: revoke()")
        expect("the last state", last["state"], "REVOKED", look_at=VIEWS)
    for task_id in running:
        expect("the others' state", project.until_final(task_id)["state"], "SUCCESS")


def test_what_has_ended_stays(project: RunningProject) -> None:
    """A task that has ended stays as it was; an id that is no UUID is answered with 422."""
    task_id = project.subscribe("slow+0.1@example.com")
    project.until_final(task_id)
    cancel(project, task_id)
    cancel(project, str(uuid.uuid4()))
    expect("its state", project.status(task_id)["state"], "SUCCESS", look_at=VIEWS)
    expect("the status of DELETE /subscriptions/1", delete(project, "1").status_code, 422)


def test_page_cancels(project: RunningProject, patient_web: Web, page: Page) -> None:
    """The page has a button Cancel while the task runs; it shows REVOKED, and the button goes."""
    page.goto(patient_web.url)
    button = page.get_by_role("button", name="Cancel")
    expect_page(button).to_be_hidden()
    page.get_by_label("e-mail").fill("slow+9@example.com")
    page.get_by_role("button").click()
    # Which one it shows depends on whether the worker or the view was quicker.
    expect_page(page.get_by_role("status")).to_have_text(
        re.compile("PENDING|STARTED"), timeout=15_000
    )
    expect_that(
        button.count() == 1,
        "a button named Cancel while the task runs",
        "none",
        usually="it is not in index.html, or stays hidden",
        look_at=PAGE,
    )
    button.click()
    expect_page(page.get_by_role("status")).to_contain_text("REVOKED")
    expect_page(button).to_be_hidden()
