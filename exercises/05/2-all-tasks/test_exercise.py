"""Chapter 5, exercise 2: one page and one socket for all tasks."""

import json
import time
import uuid
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from playwright.sync_api import Page
from playwright.sync_api import expect as expect_page
from websockets.sync.client import ClientConnection

from course.testkit import NotAsExpected, RunningProject, Web, eventually, expect, expect_that
from course.testkit.sockets import expect_own_origin_alone, socket_at

VIEWS = "project/ws/views.py"
PATH = "/ws/all"
PAGE = "project/subscriptions/views.py"


def listening(web: Web) -> AbstractContextManager[ClientConnection]:
    return socket_at(web, PATH)


def told(connection: ClientConnection, number: int, within: float) -> dict[str, dict[str, Any]]:
    """The last frame of each task, as soon as there are frames of so many tasks."""
    __tracebackhide__ = True
    found: dict[str, dict[str, Any]] = {}
    deadline = time.monotonic() + within
    while len(found) < number:
        try:
            frame = json.loads(connection.recv(timeout=max(0, deadline - time.monotonic())))
            found[frame["task_id"]] = frame
        except TimeoutError:
            raise NotAsExpected(
                f"frames of {number} tasks within {within:g} s",
                f"{len(found)}: {list(found.values())}",
                "the worker publishes to the task's own channel alone, or the view "
                "subscribes to another one than the worker publishes to",
                VIEWS,
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise NotAsExpected("a frame with a task_id, as JSON", repr(error), "", VIEWS) from None
    return found


def test_every_end_is_told(project: RunningProject) -> None:
    """The end of each task is sent, at every web process, with its id and its state alone."""
    other = project.another_web()
    with listening(project.web) as here, listening(other) as there:
        good = project.subscribe("slow+0.6@example.com")
        bad = project.subscribe("refused@example.com")
        for connection in (here, there):
            expect(
                "the last frame of each task",
                told(connection, 2, within=5),
                {
                    good: {"task_id": good, "state": "SUCCESS"},
                    bad: {"task_id": bad, "state": "FAILURE"},
                },
                usually="the whole task status is sent on, with its result",
                look_at=VIEWS,
            )


def test_other_sites_are_refused(project: RunningProject) -> None:
    """A page of another origin cannot listen, and our own can."""
    expect_own_origin_alone(project.web, PATH)


def test_listeners_that_leave_leave_nothing(project: RunningProject) -> None:
    """When the listeners have left, politely or not, no subscription for them stays."""
    with ExitStack() as stack:
        connections = [stack.enter_context(listening(project.web)) for _ in range(10)]
        eventually(project.channels, bool, "the view subscribes to a channel", within=3)
        for connection in connections[::2]:
            connection.socket.close()
    eventually(
        project.channels,
        lambda channels: not channels,
        "no channel is left over",
        within=3,
        usually="the view does not receive, so it never notices that its client left",
        look_at=VIEWS,
    )


def test_page_lists_every_task(project: RunningProject, page: Page) -> None:
    """The page /all has one item for each task, with its last state, also after a retry."""
    answer = page.goto(f"{project.url}/all")
    expect("the status of GET /all", answer.status if answer else 0, 200, look_at=PAGE)
    items = page.get_by_role("listitem")
    eventually(
        lambda: (project.until_final(project.subscribe("slow+0@example.com")), items.count())[1],
        lambda number: number > 0,
        "an item in a list of the page /all",
        within=5,
        usually="the page's script does not listen; inside the page it is forbidden: static/",
        look_at=PAGE,
    )
    busy = project.subscribe(f"busy+1@{uuid.uuid4().hex}.example.com")
    expect_page(items.filter(has_text=busy)).to_contain_text("RETRY")
    expect_page(items.filter(has_text=busy)).to_contain_text("SUCCESS")
    expect_that(
        items.filter(has_text=busy).count() == 1,
        "one item for a task that was tried twice",
        items.all_inner_texts(),
        usually="each message makes an item: keep them by task id",
        look_at=PAGE,
    )
