"""The page in a real browser: the same in every chapter."""

import re
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page
from playwright.sync_api import expect as expect_page

from course.testkit import RunningProject, expect
from course.testkit.browser import axe_violations, save_screenshot

SIZES = {"desktop": (1280, 900), "phone": (375, 800)}
STATIC = "project/subscriptions/static"
TEMPLATE = "project/subscriptions/templates/index.html"


def subscribe(page: Page, email: str) -> None:
    page.get_by_label("e-mail").fill(email)
    page.get_by_role("button").first.click()  # the form's: there may be others below it


def test_page_shows_the_result(project: RunningProject, page: Page) -> None:
    """The result appears, and the latency of the notification."""
    page.goto(project.url)
    subscribe(page, "slow+0.2@example.com")
    expect_page(page.get_by_role("status")).to_contain_text("SUCCESS")
    expect_page(page.locator("#latency")).to_contain_text("after the task finished")


@pytest.mark.not_in_check
@pytest.mark.depends_on(TEMPLATE, f"{STATIC}/*.css")
def test_page_is_readable(project: RunningProject, page: Page) -> None:
    """The page with its result is readable: on a phone, in the dark, and for a screen reader."""
    page.goto(project.url)
    subscribe(page, "slow+0.1@example.com")
    expect_page(page.get_by_role("status")).to_contain_text("SUCCESS")
    page.emulate_media(reduced_motion="reduce")  # colours change at once, not in a fade
    for scheme in ("light", "dark"):
        for name, (width, height) in SIZES.items():
            page.set_viewport_size({"width": width, "height": height})
            page.emulate_media(color_scheme=scheme)
            seen = page.evaluate("document.documentElement.scrollWidth")
            expect(f"the page's width ({name}, {scheme})", seen, width)
            save_screenshot(page, f"{project.folder.name}-{name}-{scheme}")
        problems = axe_violations(page)
        expect(f"what axe finds wrong with the page ({name}, {scheme})", problems, [])


def test_page_shows_a_refusal(project: RunningProject, page: Page) -> None:
    """A failed task is shown to the person, as text."""
    page.goto(project.url)
    subscribe(page, "refused@example.com")
    expect_page(page.get_by_role("status")).to_contain_text("FAILURE")
    expect_page(page.get_by_role("status")).to_contain_text("refused@example.com")


def test_second_address_replaces_the_first(project: RunningProject, page: Page) -> None:
    """A second address ends the interest in the first: the last one asked for is shown."""
    page.goto(project.url)
    subscribe(page, "slow+0.6@example.com")
    expect_page(page.get_by_role("status")).to_have_text(re.compile("PENDING|STARTED"))
    subscribe(page, "slow+0.65@example.com")
    expect_page(page.get_by_role("status")).to_contain_text("slow+0.65@example.com is subscribed")


def test_reload_goes_on_following(project: RunningProject, page: Page) -> None:
    """After a reload, and at another task's address, the page follows the task of the address."""
    page.goto(project.url)
    subscribe(page, "slow+1.5@example.com")
    expect_page(page.get_by_role("status")).to_have_text(re.compile("PENDING|STARTED"))
    page.reload()
    expect_page(page.get_by_role("status")).to_contain_text("slow+1.5@example.com is subscribed")
    task_of_the_first = page.evaluate("location.hash")
    subscribe(page, "slow+0.1@example.com")
    expect_page(page.get_by_role("status")).to_contain_text("slow+0.1@example.com is subscribed")
    page.evaluate("hash => { location.hash = hash }", task_of_the_first)
    expect_page(page.get_by_role("status")).to_contain_text("slow+1.5@example.com is subscribed")


@pytest.mark.depends_on(TEMPLATE, f"{STATIC}/page.js", f"{STATIC}/status.js")
@pytest.mark.parametrize("hours", [-1, 1])
def test_clocks_that_differ_are_shown(project: RunningProject, page: Page, hours: int) -> None:
    """A clock that is wrong by an hour is shown as such, not as the latency."""
    now = datetime.now(UTC).timestamp() * 1000 + hours * 3_600_000
    page.add_init_script(
        f"Object.defineProperty(performance, 'timeOrigin', {{ value: {now} - performance.now() }})"
    )
    page.goto(project.url)
    subscribe(page, "slow+2@example.com")  # it ends after the page has come
    expect_page(page.get_by_role("status")).to_contain_text("SUCCESS")
    expect_page(page.locator("#latency")).to_contain_text(
        re.compile(r"differ by about 359\d s|differ by about 360\d s")
    )


@pytest.mark.depends_on(TEMPLATE, f"{STATIC}/page.js", f"{STATIC}/status.js")
@pytest.mark.parametrize(
    ("status", "body"), [(202, "null"), (202, "{}"), (500, "Error"), (429, "[")]
)
def test_answer_that_is_not_readable(
    project: RunningProject, page: Page, troubles: list[str], status: int, body: str
) -> None:
    """An answer without a task id is shown as a refusal, and causes no error in the page."""
    page.route("**/subscriptions", lambda route: route.fulfill(status=status, body=body))
    page.goto(project.url)
    subscribe(page, "ada@example.com")
    expect_page(page.get_by_role("status")).to_contain_text("Not accepted")
    troubles[:] = [trouble for trouble in troubles if "Failed to load resource" not in trouble]
