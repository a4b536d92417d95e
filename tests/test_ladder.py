"""The ladder: what each chapter costs, and how late its page is told, measured side by side."""

import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import psutil
import pytest
import redis
from playwright.sync_api import Browser
from playwright.sync_api import expect as expect_page

from course.content.chapters import Chapter, all_chapters
from course.testkit import RunningProject, running
from course.testkit.browser import save_screenshot

SECONDS = 6
# How late a page is told can only be judged on a machine that does nothing else.
pytestmark = [pytest.mark.thorough, pytest.mark.alone, pytest.mark.xdist_group("ladder")]


@dataclass
class Cost:
    """What one task of SECONDS cost, seen at the page and at Redis."""

    requests: int  # of the page: HTTP requests, a WebSocket's handshake among them
    frames: int  # that the page received
    lookups: int  # queries of states that the web process sent to Redis
    late: int  # ms between the task's end and the page's knowing it


@contextmanager
def counting_queries(project: RunningProject) -> Iterator[Counter[int]]:
    """Count the queries of task states that Redis is sent, by the client's port."""
    counts: Counter[int] = Counter()
    with project.redis.client.monitor() as monitor:  # type: ignore[no-untyped-call]

        def read() -> None:
            try:
                for command in monitor.listen():
                    name, *keys = command["command"].split()
                    if name in ("GET", "MGET") and "celery-task-meta" in keys[-1]:
                        counts[int(command["client_port"])] += 1
            except (redis.RedisError, ValueError, OSError):
                return  # the monitor was closed

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        yield counts


def ports_of(project: RunningProject) -> set[int]:
    connections = psutil.Process(project.web.process.pid).net_connections("inet")
    return {connection.laddr.port for connection in connections}


@pytest.fixture(scope="module")
def costs(browser: Browser) -> dict[str, Cost]:
    """All chapters at once: each page follows a task of six seconds."""
    found: dict[str, Cost] = {}
    with ExitStack() as stack:
        measured = []
        for chapter in all_chapters():
            project = stack.enter_context(running(chapter.folder, settings={}))
            counts = stack.enter_context(counting_queries(project))
            page = stack.enter_context(browser.new_page(viewport={"width": 960, "height": 720}))
            page.goto(project.url)
            measured.append((chapter, project, counts, page))
        for _, _, _, page in measured:
            page.get_by_label("e-mail").fill(f"slow+{SECONDS}@example.com")
            page.get_by_role("button").click()
        for chapter, project, counts, page in measured:
            expect_page(page.get_by_role("status")).to_contain_text("SUCCESS", timeout=20_000)
            totals = page.locator("#totals").inner_text()
            requests, sockets, frames, _ = map(int, re.findall(r"\d+", totals))
            late = int(page.locator("#latency").inner_text().split()[1])
            ours = ports_of(project)
            lookups = sum(count for port, count in counts.items() if port in ours)
            found[chapter.number] = Cost(requests + sockets, frames, lookups, late)
        for chapter, _, _, page in measured:
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
                save_screenshot(page, f"{chapter}-{scheme}")
    return found


def said(chapter: Chapter) -> Cost:
    """What the chapter's README says a task of six seconds costs at most."""
    text = (chapter.folder / "README.md").read_text()
    table = text.partition("## What a task of six seconds costs")[2].partition("##")[0]
    row = next(line for line in table.splitlines() if "ms late" in line)
    return Cost(*map(int, re.findall(r"\d+", row)))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("chapter", all_chapters(), ids=str)
def test_chapter_costs_what_its_readme_says(chapter: Chapter, costs: dict[str, Cost]) -> None:
    """The README's numbers are limits that hold here."""
    cost, limit = costs[chapter.number], said(chapter)
    print(chapter, cost)
    assert cost.requests <= limit.requests
    assert cost.frames <= limit.frames
    assert cost.lookups <= limit.lookups
    assert cost.late <= limit.late


def test_numbers_fall(costs: dict[str, Cost]) -> None:
    """From polling to push: fewer requests, then fewer look-ups, and no delay in the end."""
    one, two, three, four, five, six = (costs[number] for number in sorted(costs))
    assert one.requests > two.requests > three.requests == four.requests == 2
    assert four.requests == five.requests == six.requests
    assert three.lookups > 3 * four.lookups >= 3 * five.lookups
    assert three.lookups > 3 * six.lookups
    # Where a page is told by luck of the moment, only the worst case counts: see the READMEs.
    assert five.late < four.late
