"""Chapter 6: the page notices a dead server by itself, and a repeated press starts one task."""

import re
import signal

from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Page, Request, Route
from playwright.sync_api import expect as expect_page

from course.testkit import NotAsExpected, RunningProject, expect

FOLLOW = "project/subscriptions/static/follow.js"
PAGE = "project/subscriptions/static/page.js"


def test_page_notices_a_stopped_server(
    project: RunningProject, page: Page, troubles: list[str]
) -> None:
    """A server that hangs closes nothing: the page misses its heartbeat, and comes back."""
    web = project.start_web(None, WS_HEARTBEAT_SECONDS="0.5", WS_FALLBACK_POLL_SECONDS="60")
    page.add_init_script("Math.random = () => 0.3")  # the back-off of the page, made even
    page.goto(web.url)
    page.get_by_label("e-mail").fill("slow+4@example.com")
    with page.expect_event("websocket") as opened:
        page.get_by_role("button").click()
    try:
        opened.value.wait_for_event("framereceived", lambda text: "heartbeat" in str(text))
    except PlaywrightError:
        raise NotAsExpected(
            "a frame with a heartbeat, every WS_HEARTBEAT_SECONDS",
            "none until the socket was closed",
            "the server sends a heartbeat to no socket",
            "project/ws/hub.py",
        ) from None
    web.process.signal(signal.SIGSTOP)
    expect_page(page.locator("#notice")).not_to_be_empty()
    web.process.signal(signal.SIGCONT)
    expect_page(page.get_by_role("status")).to_contain_text("SUCCESS", timeout=10_000)
    project.end(web.process)
    troubles.clear()  # the browser's own note of each connection that failed


def test_page_repeats_with_the_same_key(
    project: RunningProject, page: Page, troubles: list[str]
) -> None:
    """When no answer came, the next press sends the same key; after an answer, a new one."""
    keys: list[str] = []
    page.goto(project.url)

    def answer_503_once(route: Route, request: Request) -> None:
        keys.append(request.headers["idempotency-key"])
        if len(keys) == 1:
            route.fulfill(status=503, json={"detail": "It may have been started."})
        else:
            route.continue_()

    page.route("**/subscriptions", answer_503_once)
    page.get_by_label("e-mail").fill("slow+0@example.com")
    page.get_by_role("button").click()
    expect_page(page.get_by_role("status")).to_contain_text("may have been started")
    for _ in range(2):
        page.get_by_role("button").click()
        expect_page(page.get_by_role("status")).to_have_text(re.compile("SUCCESS"))
    expect("first and second key are the same", keys[0] == keys[1], True, look_at=PAGE)
    expect("the third is another", keys[1] == keys[2], False, look_at=PAGE)
    troubles.clear()  # the browser's own note of the 503
