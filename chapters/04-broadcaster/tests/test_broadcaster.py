"""Chapter 4: any process publishes, and every web process receives."""

import asyncio
import json
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime

import pytest
from playwright.sync_api import Page
from playwright.sync_api import expect as expect_page

from course.testkit import (
    FINAL,
    RunningProject,
    TaskStatus,
    ahead,
    eventually,
    expect,
    expect_that,
    run_async,
)

VIEWS = "project/ws/views.py"
NOT_RECEIVED = "it is published to another channel than the view subscribes to, or not as JSON"
TASKS = "project/subscriptions/tasks.py"
# What the page's line for the state has said, however short: kept in a variable of the page.
KEEP_TEXTS = """
window.texts = [];
document.addEventListener("DOMContentLoaded", () => {
  const line = document.querySelector("[role=status], output");
  new MutationObserver(() => texts.push(line.textContent))
    .observe(line, { childList: true, characterData: true, subtree: true });
});
"""


def test_other_process_reaches_every_page(project: RunningProject) -> None:
    """What a third process publishes reaches the clients of every web process."""
    task_id = str(uuid.uuid4())
    before = project.channels()
    other = project.another_web()
    with project.follow(task_id) as here, project.follow(task_id, other) as there:
        first = here.next()
        there.next()
        channel = project.channel_since(before)
        eventually(
            lambda: dict(project.redis.client.pubsub_numsub(channel))[channel],
            lambda subscribers: subscribers == 2,
            "both web processes subscribe",
            within=3,
        )
        message = first | {"state": "STARTED", "progress": "said by the test"}
        project.redis.client.publish(channel, json.dumps(message))
        for follower in (here, there):
            frame = follower.next(within=2)
            expect(
                "the progress in the frame",
                frame.get("progress"),
                "said by the test",
                usually="the view does not send what it receives, or leaves the field out",
                look_at=VIEWS,
            )


def test_script_publishes(project: RunningProject) -> None:
    """publish.py TASK_ID MESSAGE: a message from any terminal reaches the page."""
    task_id = str(uuid.uuid4())
    with project.follow(task_id) as follower:
        follower.next()
        done = project.run_script("publish.py", task_id, "Hello from a terminal")
        expect("the exit code of publish.py", done.exit_code, 0, look_at="publish.py")
        said = follower.next(within=5, usually=NOT_RECEIVED)
        expect("the progress", said.get("progress"), "Hello from a terminal", look_at=VIEWS)


def test_progress_is_told(project: RunningProject) -> None:
    """The task publishes its own progress, attempt by attempt, while its body runs."""
    # Three tasks in two pool processes: at least one process publishes again and again.
    addresses = [f"busy+1@{uuid.uuid4().hex}.example.com" for _ in range(3)]
    with ExitStack() as stack:
        for address in addresses:
            stack.enter_context(progress_names_second_attempt(project, address))


@contextmanager
def progress_names_second_attempt(project: RunningProject, address: str) -> Iterator[None]:
    with project.follow(project.subscribe(address)) as follower:
        yield
        follower.until_final()
        published = [status["progress"] for status in follower.received if status.get("progress")]
        expect_that(
            any("attempt 2" in progress for progress in published),
            "progress that names the second attempt",
            published,
            usually="the task does not publish, or what it publishes with belongs to another loop",
            look_at=TASKS,
        )


def test_page_shows_progress(project: RunningProject, page: Page) -> None:
    """The page shows what the task says of its progress."""
    page.add_init_script(KEEP_TEXTS)
    frames: list[str] = []
    page.on("websocket", lambda ws: ws.on("framereceived", lambda frame: frames.append(str(frame))))
    page.goto(project.url)
    page.get_by_label("e-mail").fill(f"busy+1@{uuid.uuid4().hex}.example.com")
    page.get_by_role("button").click()
    expect_page(page.get_by_role("status")).to_contain_text("SUCCESS")
    expect_that(
        any("attempt" in frame for frame in frames),
        "a frame with the task's progress, which names its attempts",
        frames,
        usually="the task does not publish its progress, or the view does not send it",
        look_at="project/subscriptions/tasks.py",
    )
    texts: list[str] = page.evaluate("window.texts")
    expect_that(
        any("attempt" in text for text in texts),
        "the task's progress, which names its attempts, in the page's line for the state",
        texts,
        usually="the frame's `progress` is not shown: the field has another name in the script",
        look_at="project/subscriptions/static/status.js",
    )


@pytest.mark.not_in_check
def test_task_that_ends_first_is_not_missed(project: RunningProject) -> None:
    """Of 60 tasks that end around the subscription, none is missed."""

    async def follow_one(number: int) -> str:
        email = f"slow+{number % 10 / 200}@example.com"
        task_id = await asyncio.to_thread(project.subscribe, email)
        await asyncio.sleep(number % 7 / 20)
        async with await project.open_socket(task_id) as socket:
            while True:
                status = json.loads(await asyncio.wait_for(socket.recv(), 20))
                if status["state"] == "SUCCESS":
                    return "SUCCESS"

    async def crowd() -> list[str]:
        gate = asyncio.Semaphore(20)

        async def one(number: int) -> str:
            async with gate:
                return await follow_one(number)

        return await asyncio.gather(*(one(number) for number in range(60)))

    states = run_async(crowd)
    expect("the clients that learn the end, of 60", states.count("SUCCESS"), 60, look_at=VIEWS)


def test_end_is_only_found_by_looking(project: RunningProject) -> None:
    """What is still wrong: the task cannot announce its own end, only a fallback poll finds it."""
    patient_web = project.web_with(WS_FALLBACK_POLL_SECONDS="2")
    with project.follow(project.subscribe("slow+0.5@example.com"), patient_web) as follower:
        last = follower.until_final(within=5)
        late = time.time() - time_of(last["date_done"])
        expect("the last state", last["state"], "SUCCESS")
        expect_that(
            late < 2.5,
            "the end is found up to 2 s late, by the fallback poll",
            f"{late:.2f} s late",
            look_at=VIEWS,
        )
    if late < 0.5 and end_comes_in_a_message(project):
        ahead("chapter 5 notifies the client of the end as soon")


def end_comes_in_a_message(project: RunningProject) -> bool:
    """Is the end notified where no fallback poll can have found it?"""
    web = project.web_with(WS_FALLBACK_POLL_SECONDS="60")
    with project.follow(project.subscribe("slow+1@example.com"), web) as follower:
        status: TaskStatus | None = follower.next()
        while status and status["state"] not in FINAL:
            status = follower.next_if_any(within=5)
        return status is not None and len(follower.received) > 1


def time_of(date: str) -> float:
    return datetime.fromisoformat(date).timestamp()
