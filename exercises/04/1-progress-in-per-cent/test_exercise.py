"""Chapter 4, exercise 1: progress as a number, from any terminal to a bar on the page."""

import uuid
from contextlib import suppress
from typing import Any

from playwright.sync_api import Page
from playwright.sync_api import expect as expect_page

from course.testkit import (
    Follower,
    NotAsExpected,
    RunningProject,
    Script,
    expect,
    expect_that,
)

PUBLISH = "publish.py"
CELERY = "project/celery_utils.py"
STATUS = "project/subscriptions/static/status.js"


def publish(project: RunningProject, *arguments: str) -> Script:
    return project.run_script(PUBLISH, *arguments)


def publish_well(project: RunningProject, *arguments: str) -> None:
    __tracebackhide__ = True
    done = publish(project, *arguments)
    expect(
        f"the exit code of publish.py TASK_ID {' '.join(arguments[1:])}",
        done.exit_code,
        0,
        usually="it takes two arguments, not three",
        look_at=PUBLISH,
    )


def frame_with(follower: Follower, progress: str) -> dict[str, Any]:
    """The frame that says so. The view may look by itself now and then, and send what it finds."""
    __tracebackhide__ = True
    for _ in range(6):
        frame = follower.next(within=3)
        if frame.get("progress") == progress:
            return frame
    raise NotAsExpected(f"a frame with progress {progress!r}", str(follower.received), "", CELERY)


def test_percent_is_told(project: RunningProject) -> None:
    """publish.py takes a number, which comes with the frame; before that it is null."""
    task_id = str(uuid.uuid4())
    with project.follow(task_id) as follower:
        first = follower.next()
        publish_well(project, task_id, "nearly half", "40")
        said = frame_with(follower, "nearly half")
        expect("the percent in the frame", said.get("percent"), 40, look_at=CELERY)
        expect_that(
            "percent" in first and first["percent"] is None,
            "percent null in the first frame",
            first,
            usually="the field is not in TaskStatus",
            look_at=CELERY,
        )


def test_bad_percent_is_refused(project: RunningProject) -> None:
    """A percent that is none is not published: an error code and one sentence."""
    task_id = str(uuid.uuid4())
    with project.follow(task_id) as follower:
        follower.next()
        for percent in ("140", "half"):
            done = publish(project, task_id, "far", percent)
            expect_that(
                done.exit_code != 0,
                f"publish.py ends with an error code for {percent!r}",
                f"exit code 0: {done.output.strip()}",
                usually="nothing looks at the number: Field(ge=0, le=100) does",
                look_at=PUBLISH,
            )
            expect_that(
                "Traceback" not in done.errors and percent in done.errors,
                f"one sentence that names {percent}",
                done.errors[-300:],
                usually="the ValidationError is not caught",
                look_at=PUBLISH,
            )
        with suppress(TimeoutError):
            told = follower.connection.recv(timeout=0.5)
            expect_that("far" not in told, "nothing published with a bad percent", told)


def test_page_shows_a_bar(project: RunningProject, page: Page) -> None:
    """The page shows the last per cent in a bar, and none before the first and after the end."""
    page.goto(project.url)
    bar = page.get_by_role("progressbar")
    expect_page(bar).to_be_hidden()
    page.get_by_label("e-mail").fill("slow+4@example.com")
    with page.expect_response("**/subscriptions") as answer:
        page.get_by_role("button").first.click()
    task_id = answer.value.json()["task_id"]
    expect_page(page.get_by_role("status")).to_contain_text("STARTED", timeout=15_000)
    publish_well(project, task_id, "a quarter", "25")
    expect_page(page.get_by_role("status")).to_contain_text("a quarter")
    expect_that(
        bar.count() == 1 and bar.is_visible(),
        "a <progress> element, visible when a per cent was published",
        f"{bar.count()} of them, hidden" if bar.count() else "none",
        usually="it is not in index.html, or stays hidden",
        look_at=STATUS,
    )
    expect("its value", bar.evaluate("bar => bar.value / bar.max"), 0.25, look_at=STATUS)
    expect_page(page.get_by_role("status")).to_contain_text("SUCCESS", timeout=7_000)
    expect_page(bar).to_be_hidden()
