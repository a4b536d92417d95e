"""Chapter 1: the page polls."""

import re
import time

from playwright.sync_api import Page, Request, Route
from playwright.sync_api import expect as expect_page

from course.testkit import RunningProject, ahead, expect, expect_that

FOLLOW = "project/subscriptions/static/follow.js"


def test_page_asks_once_a_second(project: RunningProject, page: Page) -> None:
    """The page makes one POST, then one GET a second, and none after the final state."""
    asked: list[tuple[str, str]] = []
    pushed: list[str] = []  # what had its answer or its frames when there was news, and not before

    def note_held(request: Request) -> None:
        """As in long polling, the answer was held back."""
        if "/task_status/" in request.url and request.timing["responseEnd"] > 500:  # ms
            pushed.append(request.url)

    page.goto(project.url)
    page.on("request", lambda request: asked.append((request.method, request.url)))
    page.on("requestfinished", note_held)
    page.on("websocket", lambda socket: pushed.append(socket.url))
    page.get_by_label("e-mail").fill("slow+1.2@example.com")
    page.get_by_role("button").click()
    expect_page(page.get_by_role("status")).to_contain_text("SUCCESS")

    posts = [url for method, url in asked if method == "POST"]
    gets = [url for method, url in asked if "/task_status/" in url]
    expect("the number of POSTs", len(posts), 1, look_at=FOLLOW)
    is_ahead = len(gets) < 2 and bool(pushed)
    expect_that(
        2 <= len(gets) <= 3 or is_ahead,
        "one GET a second, 2 or 3 for a task of 1.2 s",
        f"{len(gets)} GETs",
        usually="the page asks too often: is there an `await` in front of the Promise that waits?"
        if len(gets) > 3
        else "the page does not ask again, or not soon enough",
        look_at=FOLLOW,
    )

    # The wire panel counts what went over the wire.
    requests = 1 + len(gets)
    if not is_ahead:
        expect_page(page.locator("#totals")).to_have_text(re.compile(f"^{requests} requests, "))

    # After the final state the page is quiet.
    page.wait_for_timeout(1_200)
    after = [url for method, url in asked if "/task_status/" in url]
    expect(
        "the GETs 1.2 s after the result",
        len(after),
        len(gets),
        usually="the page does not stop at SUCCESS, FAILURE or REVOKED",
        look_at=FOLLOW,
    )
    if is_ahead:
        ahead("later chapters' pages, too, need no GET a second")


def test_page_waits_for_each_answer(project: RunningProject, page: Page) -> None:
    """The page asks again only when it has its answer, however long that takes."""
    under_way: list[str] = []
    overlaps: list[str] = []

    def on_request(request: Request) -> None:
        if "/task_status/" in request.url:
            overlaps.extend(under_way)
            under_way.append(request.url)

    def answer_late(route: Route) -> None:
        time.sleep(1.3)
        route.continue_()

    page.goto(project.url)
    page.on("request", on_request)
    page.on("requestfinished", lambda request: under_way.clear())
    page.route("**/task_status/*", answer_late, times=1)
    page.get_by_label("e-mail").fill("slow+0.5@example.com")
    page.get_by_role("button").click()
    expect_page(page.get_by_role("status")).to_contain_text("SUCCESS")
    expect_that(
        not overlaps,
        "no request while the answer to another is on its way",
        f"{len(overlaps)} of them",
        usually="setInterval asks again whether there was an answer or not: "
        "wait for the answer, then for the second",
        look_at=FOLLOW,
    )


def test_page_goes_on_when_the_server_was_away(
    project: RunningProject, page: Page, troubles: list[str]
) -> None:
    """When an answer is missing the page says so, asks again, and shows the result in the end."""
    page.goto(project.url)
    page.route(
        "**/task_status/*", lambda route: route.fulfill(status=503, json={"detail": "Busy."})
    )
    page.get_by_label("e-mail").fill("slow+0.5@example.com")
    page.get_by_role("button").click()
    expect_page(page.locator("#notice")).not_to_be_empty()
    page.unroute("**/task_status/*")
    expect_page(page.get_by_role("status")).to_contain_text("SUCCESS")
    troubles.clear()  # the browser's own note of each 503


def test_each_question_costs_a_lookup(project: RunningProject) -> None:
    """What is still wrong: every poll is a request, and a query of Redis."""
    task_id = project.subscribe("slow+0.2@example.com")
    project.until_final(task_id)
    with project.watch_lookups(task_id) as lookups:
        for _ in range(10):
            project.status(task_id)
        asked = lookups()
    expect_that(
        asked <= 10,
        "10 queries of Redis for ten polls",
        asked,
        usually="the view makes an AsyncResult more than once for each poll",
        look_at="project/subscriptions/views.py",
    )
    if asked < 10:
        ahead("an answer that cannot change any more is not queried again")
