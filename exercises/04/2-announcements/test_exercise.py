"""Chapter 4, exercise 2: what is said to everybody who has the page open."""

import json
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page
from playwright.sync_api import expect as expect_page
from websockets.sync.client import ClientConnection

from course.testkit import NotAsExpected, RunningProject, Web, eventually, expect, expect_that
from course.testkit.sockets import expect_own_origin_alone, socket_at

VIEWS = "project/ws/views.py"
PATH = "/ws/announcements"
PAGE = "project/subscriptions/static/page.js"


def listening(web: Web) -> AbstractContextManager[ClientConnection]:
    return socket_at(web, PATH)


def post(web: Web, data: Any) -> httpx.Response:
    return httpx.post(f"{web.url}/announcements", json=data, timeout=5)


def announce(web: Web, text: str) -> None:
    __tracebackhide__ = True
    expect(
        "the status of POST /announcements",
        post(web, {"text": text}).status_code,
        202,
        usually="there is no such view, or it raises; its log has the reason",
        look_at=VIEWS,
    )


def heard(connection: ClientConnection, web: Web, text: str) -> Any:
    """Announce until it is heard: a socket may be open a moment before its view subscribes."""
    __tracebackhide__ = True
    for _ in range(6):
        announce(web, text)
        try:
            return json.loads(connection.recv(timeout=0.5))
        except TimeoutError:
            continue
        except ValueError as error:
            raise NotAsExpected("a frame that holds JSON", repr(error), "", VIEWS) from None
    raise NotAsExpected(
        "a frame for one of six announcements",
        "none within 3 s",
        "it is published to another channel than the view subscribes to, or only said to the "
        "sockets of the web process that was notified",
        VIEWS,
    )


def test_everybody_hears(project: RunningProject) -> None:
    """What is posted to one web process, the clients of every web process receive."""
    webs = [project.web, project.another_web()]
    with ExitStack() as stack:
        for told in webs:
            for listener in webs:
                connection = stack.enter_context(listening(listener))
                text = f"posted to {told.port}, received at {listener.port}"
                expect("the frame", heard(connection, told, text), {"text": text}, look_at=VIEWS)


@pytest.mark.parametrize("data", [{"text": ""}, {"text": "x" * 201}, {}, {"text": 7}])
def test_bad_announcement_is_refused(project: RunningProject, data: Any) -> None:
    """No text, an empty one or one of more than 200 characters is answered with 422."""
    expect(
        f"the status of POST /announcements with {str(data)[:30]}",
        post(project.web, data).status_code,
        422,
        usually="nothing bounds the text: Field(min_length=1, max_length=200)",
        look_at=VIEWS,
    )


def test_other_sites_are_refused(project: RunningProject) -> None:
    """A page of another origin cannot listen, and our own can."""
    expect_own_origin_alone(project.web, PATH)


def test_listeners_that_leave_leave_nothing(project: RunningProject) -> None:
    """When the listeners have left, politely or not, no subscription for them stays."""
    web = project.another_web()
    with ExitStack() as stack:
        connections = [stack.enter_context(listening(web)) for _ in range(10)]
        for connection in connections:
            heard(connection, web, "hello")
        for connection in connections[::2]:
            connection.socket.close()
    eventually(
        project.channels,
        lambda channels: not channels,
        "no channel is left over",
        within=3,
        usually="the view never notices that its client left; or it unsubscribes by an exception, "
        "which broadcaster 0.2.0 does not survive",
        look_at=VIEWS,
    )
    code = project.end(web.process)
    expect_that(code is not None, "the web process ends", "it runs on", look_at=VIEWS)


def test_page_shows_it(project: RunningProject, page: Page, troubles: list[str]) -> None:
    """An open page shows the last announcement, as text, though it follows no task."""
    web = project.another_web()
    page.goto(web.url)
    alert = page.get_by_role("alert")
    text = "Back at <b>noon</b>."
    announce_until_shown(project.web, text, page)
    expect_that(alert.count() == 1, 'one element with role="alert"', f"{alert.count()} of them")
    expect(
        "its text",
        alert.inner_text(),
        text,
        usually="the page does not listen; or innerHTML takes the text for HTML: textContent",
        look_at=PAGE,
    )
    announce(project.web, "It works again.")
    expect_page(alert).to_have_text("It works again.")

    project.end(web.process)
    project.start_web(web.port)
    announce_until_shown(project.web, "The server was restarted.", page)
    expect_page(alert).to_have_text("The server was restarted.")
    troubles.clear()  # the browser's own note of each connection that failed


def announce_until_shown(web: Web, text: str, page: Page) -> None:
    """Announce it until the page shows it: its socket may not be open yet, or not be back."""
    alert = page.get_by_role("alert")
    for _ in range(20):
        announce(web, text)
        page.wait_for_timeout(250)
        if alert.count() and alert.first.inner_text() == text:
            return
