"""Fixtures for tests in a real browser: an installed Chromium, and pages that must stay clean."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import ConsoleMessage, Page, Request

from course.doctor.findings import how_to_get_a_browser
from course.processes.browser import find_browser
from course.testkit.expect import expect


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    found = find_browser()
    if not found:
        pytest.fail(f"No Chromium was found. To get one: {how_to_get_a_browser()}", pytrace=False)
    # Chromium's sandbox does not work for root, as in a container.
    args = ["--no-sandbox"] if os.geteuid() == 0 else []
    quiet = ["--disable-background-networking", "--disable-component-update", "--no-first-run"]
    return {"executable_path": found, "args": [*args, *quiet]}


@pytest.fixture
def troubles() -> list[str]:
    """What went wrong on the page. A test that causes an error on purpose empties the list."""
    return []


@pytest.fixture
def page(page: Page, troubles: list[str]) -> Iterator[Page]:
    """A page that fails its test on any console error, and on any request off the machine."""

    def note_console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            troubles.append(message.text)

    def note_request(request: Request) -> None:
        if urlsplit(request.url).hostname not in ("127.0.0.1", "localhost", None):
            troubles.append(f"request to {request.url}")

    page.set_default_timeout(15_000)
    page.on("console", note_console)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", note_request)
    yield page
    expect("console errors, and requests that leave the machine", troubles, [])


def axe_violations(page: Page) -> list[str]:
    """What axe finds wrong with the page's accessibility, a line each."""
    found = json.loads(json.dumps(Axe().run(page).response))["violations"]
    return [f"{item['id']}: {item['help']}: {item['nodes'][0]['html']}" for item in found]


def save_screenshot(page: Page, name: str) -> None:
    """Save a picture of the whole page in the folder COURSE_SCREENSHOTS, if that is set."""
    if folder := os.environ.get("COURSE_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
