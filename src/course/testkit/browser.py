"""Fixtures for tests in a real browser: an installed Chromium, and pages that must stay clean."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import ConsoleMessage, Error, Page, Request, Response

from course.doctor.findings import how_to_get_a_browser
from course.processes.browser import browser_arguments, find_browser
from course.testkit.evidence import Complaint, Weight
from course.testkit.expect import expect
from course.testkit.records import Record


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    found = find_browser()
    if not found:
        pytest.fail(f"No Chromium was found. To get one: {how_to_get_a_browser()}", pytrace=False)
    return {"executable_path": found, "args": browser_arguments()}


@dataclass
class PageLog:
    """What the browser's console and network tab say about a page, as it happens."""

    said: list[tuple[str, str]] = field(default_factory=list)  # the text, and the script's place
    failed: list[str] = field(default_factory=list)  # requests without an answer
    answers: list[Response] = field(default_factory=list)  # those that were errors
    page: Page | None = None

    def listen(self, page: Page) -> None:
        self.page = page
        page.on("console", self.note_console)
        page.on("pageerror", self.note_error)
        page.on("requestfailed", self.note_failed)
        page.on("response", self.note_answer)

    def note_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            line = int(message.location.get("lineNumber", 0)) + 1
            self.said.append((message.text, f"{message.location.get('url', '')}:{line}"))

    def note_error(self, error: Error) -> None:
        place = SCRIPT.search(error.stack or "")
        self.said.append((f"{error.name}: {error.message}", place[1] if place else ""))

    def note_failed(self, request: Request) -> None:
        # A page that ends its interest in an answer says ERR_ABORTED, and means it.
        if (reason := request.failure) and "ERR_ABORTED" not in reason:
            self.failed.append(f"{request.method} {path_of(request.url)} failed: {reason}")

    def note_answer(self, answer: Response) -> None:
        if answer.status >= 400:
            self.answers.append(answer)

    def notice(self) -> str:
        """What the page tells its reader beside the state, at this moment."""
        with suppress(Error):
            if self.page:
                return (self.page.locator("#notice").text_content(timeout=500) or "").strip()
        return ""

    def complaints(self, folder: Path) -> list[Complaint]:
        """All of it, with the places in the project's own files."""
        found = []
        for text, place in self.said:
            # A socket is opened by a function that is given its path: that place says nothing.
            where = "" if text.startswith("WebSocket connection to") else file_of(place, folder)
            # That a resource failed is said below, with its text.
            weight = Weight.ANSWER if text.startswith("Failed to load resource") else Weight.PAGE
            if weight == Weight.PAGE:
                found.append(Complaint("the page", text, weight, where))
        found += [Complaint("the page", text, Weight.WARNING) for text in self.failed]
        for answer in self.answers:
            request = answer.request
            text = f"{request.method} {path_of(answer.url)} {answer.status}"
            with suppress(Error):  # the page may have gone on to another
                text += f": {answer.text()[:300]}"
            found.append(Complaint("the page", text, Weight.WARNING))
        return found


SCRIPT = re.compile(r"(https?://[^\s)]+:\d+):\d+")


def path_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def file_of(place: str, folder: Path) -> str:
    """A script's address and line as a file of the project."""
    address, _, line = place.rpartition(":")
    name = Path(urlsplit(address).path).name
    if not name.endswith((".js", ".html", ".css")):
        return ""
    paths = [path for path in folder.rglob(name) if "node_modules" not in path.parts]
    return f"{paths[0].relative_to(folder)}:{line}" if paths else ""


@pytest.fixture
def troubles() -> list[str]:
    """What went wrong on the page. A test that causes an error on purpose empties the list."""
    return []


@pytest.fixture
def page(page: Page, troubles: list[str], request: pytest.FixtureRequest) -> Iterator[Page]:
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
    log = Record.of(request.node).page = PageLog()
    log.listen(page)
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
