"""The live diagram in a real browser, and its server."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page as BrowserPage
from playwright.sync_api import expect as expect_page
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from course.content.chapters import ROOT
from course.processes import HOST, free_port
from course.testkit import running
from course.testkit.browser import axe_violations, save_screenshot
from course.wires import Event, Tap
from course.wires.event import HTTP, REDIS, RESP, WEBSOCKET, from_json
from course.wires.page import ALLOWED_HOSTS, Page

TASK = "6259f2a1-0000-4000-8000-00000000000a"
OTHER = "77777777-0000-4000-8000-00000000000b"
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
CHAPTER_5 = next(iter(sorted((ROOT / "chapters").glob("05-*"))))


@contextmanager
def served() -> Iterator[tuple[Tap, Page]]:
    """A tap with its page, and the pairs of processes that a project has; none of them runs."""
    port = free_port()
    with Tap(f"redis://{HOST}:{free_port()}/0", f"http://{HOST}:{port}") as tap:
        tap.web_port_for(free_port())
        for name in ("web", "worker"):
            tap.redis_url_for(name)
        tap.newsletter_url_for("worker")
        yield tap, Page(tap)


@pytest.fixture
def wires() -> Iterator[tuple[Tap, Page]]:
    with served() as both:
        yield both


def add(tap: Tap, what: str, sender: str = "web", receiver: str = REDIS, **more: object) -> Event:
    protocol = str(more.pop("protocol", RESP))
    event = Event(0, time.monotonic_ns(), sender, receiver, protocol, what)
    for name, value in more.items():
        setattr(event, name, value)
    added: Event = tap.call(lambda: tap.log.add(event))
    return added


# The server.


def test_only_this_machine_is_answered(wires: tuple[Tap, Page]) -> None:
    """Another name in Host, and a page of another origin, are refused."""
    _, page = wires
    assert httpx.get(page.url).status_code == 200
    assert httpx.get(page.url, headers={"Host": "evil.example"}).status_code == 400
    own = page.url.rstrip("/")
    socket = own.replace("http", "ws") + "/ws/events"
    with connect(socket, origin=Origin(own)) as connection:
        assert json.loads(connection.recv(5))["type"] == "state"
    for origin in ("http://evil.example", f"http://{HOST}:1", None):
        with pytest.raises(InvalidStatus) as refused:
            connect(socket, origin=Origin(origin) if origin else None)
        assert refused.value.response.status_code == 403
    assert page._socket.getsockname()[0] == HOST
    assert set(ALLOWED_HOSTS) == {HOST, "localhost"}


def test_socket_sends_the_state_and_then_changes(wires: tuple[Tap, Page]) -> None:
    tap, page = wires
    first = add(tap, "GET before")
    own = page.url.rstrip("/")
    with connect(own.replace("http", "ws") + "/ws/events", origin=Origin(own)) as connection:
        state = json.loads(connection.recv(5))
        assert list(state["processes"]) == ["browser", "web", "Redis", "worker", "newsletter"]
        assert state["processes"]["web"] == "down"
        events = json.loads(connection.recv(5))["events"]
        assert [event["what"] for event in events] == ["GET before"]
        tap.call(lambda: tap.log.update(first, task_id=TASK))
        changed = json.loads(connection.recv(5))["events"]
        assert [(event["id"], event["task_id"]) for event in changed] == [(first.id, TASK)]
        assert "content" not in changed[0]


def test_exports_hold_what_is_selected(wires: tuple[Tap, Page]) -> None:
    """JSON reads back as events; SVG has a text alternative; text in events is no markup."""
    tap, page = wires
    add(tap, "GET <script>alert(1)</script>", content="all of it", task_id=TASK)
    add(tap, "PING", is_noise=True, task_id=TASK)
    add(tap, "GET other", task_id=OTHER)
    got = httpx.get(f"{page.url}events.json", params={"task": TASK})
    events = [from_json(fields) for fields in got.json()]
    assert [event.content for event in events] == ["all of it"]
    assert len(httpx.get(f"{page.url}events.json", params={"noise": "1"}).json()) == 3
    picture = httpx.get(f"{page.url}diagram.svg", params={"task": TASK}).text
    assert "web to Redis: Redis GET &lt;script&gt;" in picture
    assert "<script" not in picture
    assert httpx.get(f"{page.url}events/{events[0].id}").json()["content"] == "all of it"
    assert httpx.get(f"{page.url}events/999").status_code == 404


# The page.


def test_page_shows_one_task(page: BrowserPage, tmp_path: Path) -> None:
    """A task is played; the diagram shows it, in order, and the table says the same."""
    # A fallback poll may find the end before the message comes.
    no_poll: dict[str, object] = {"WS_FALLBACK_POLL_SECONDS": 60}
    with running(CHAPTER_5, settings=no_poll, with_wires=True) as project:
        assert project.tap
        diagram = Page(project.tap)
        page.goto(diagram.url)
        expect_page(page.locator("#connection")).to_contain_text("Connected")
        task_id = project.subscribe("slow+3@example.com")  # the follower is there before its end
        project.follow_to_the_end(task_id)
        project.tap.wait_for(lambda event: event.what.startswith("UNSUBSCRIBE"))
        page.get_by_label("Task").select_option(task_id)
        page.get_by_text("The same as a table").click()
        expect_page(page.locator("#table-rows")).to_contain_text("UNSUBSCRIBE")
        cells = page.locator("#table-rows tr td:nth-child(5)").all_inner_texts()
        end = ["PUBLISH", "message on", "frame SUCCESS", "close"]
        for wanted in (  # the page and the worker go their own ways until the task ends
            ["POST /subscriptions", "LPUSH", "202", "(upgrade)", "101", "SUBSCRIBE", "frame", *end],
            ["POST /subscriptions", "LPUSH", "POST /subscribers", "201", *end],
        ):
            left = iter(cells)
            for want in wanted:
                assert any(want in cell for cell in left), (want, cells)
        page.get_by_text("The same as a table").click()
        drawn = page.locator("#picture .event text")
        expect_page(drawn.filter(has_text="PUBLISH")).to_have_count(1)
        heads = page.locator("#heads").inner_text().split()
        assert heads == ["browser", "web", "up", "Redis", "up", "worker", "up", "newsletter", "up"]
        look_at_all_sizes(page, "wires")


def look_at_all_sizes(page: BrowserPage, name: str) -> None:
    page.emulate_media(reduced_motion="reduce")
    for scheme in ("light", "dark"):
        for size, (width, height) in SIZES.items():
            page.set_viewport_size({"width": width, "height": height})
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate("document.documentElement.scrollWidth") == width
            save_screenshot(page, f"{name}-{size}-{scheme}")
            assert axe_violations(page) == []


@pytest.mark.thorough
def test_keyboard_and_pointer(wires: tuple[Tap, Page], page: BrowserPage) -> None:
    """Arrow keys step and say what is selected; Enter and a click open the content."""
    tap, diagram = wires
    ask = add(tap, "GET /x", "browser", "web", protocol=HTTP, content="Host: x")
    add(tap, "PING", is_noise=True)
    add(tap, "200", "web", "browser", protocol=HTTP, answers=ask.id, content="the answer")
    page.goto(diagram.url)
    expect_page(page.locator("#picture .event")).to_have_count(2)
    page.get_by_role("group", name="Sequence diagram").focus()
    page.keyboard.press("ArrowDown")
    expect_page(page.locator("#selected")).to_contain_text("browser to web, HTTP: GET /x")
    expect_page(page.locator(".event.current")).to_contain_text("GET /x")
    expect_page(page.locator(".event.partner")).to_contain_text("200")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect_page(dialog).to_contain_text("the answer")
    expect_page(dialog).to_contain_text("answers: GET /x")
    assert axe_violations(page) == []
    page.keyboard.press("Escape")
    expect_page(dialog).to_be_hidden()
    page.locator(".event", has_text="GET /x").locator("rect").click(position={"x": 5, "y": 5})
    expect_page(dialog).to_contain_text("Host: x")
    page.get_by_role("button", name="Close").click()
    page.get_by_label("Housekeeping (1)").check()
    expect_page(page.locator("#picture .event")).to_have_count(3)


def test_pause_and_one_task(wires: tuple[Tap, Page], page: BrowserPage) -> None:
    """While it is paused nothing moves, and nothing is lost; one task can be shown alone."""
    tap, diagram = wires
    add(tap, "GET one", task_id=TASK)
    page.goto(diagram.url)
    drawn = page.locator("#picture .event")
    expect_page(drawn).to_have_count(1)
    page.get_by_role("button", name="Pause").click()
    add(tap, "GET two", task_id=OTHER)
    button = page.get_by_role("button", name="Paused, 1 more")
    expect_page(button).to_be_visible()
    expect_page(drawn).to_have_count(1)
    button.click()
    expect_page(drawn).to_have_count(2)
    page.get_by_label("Task").select_option(OTHER)
    expect_page(drawn).to_have_count(1)
    expect_page(drawn).to_contain_text("GET two")
    expect_page(page.get_by_role("link", name="SVG")).to_have_attribute("href", re.compile(OTHER))


def test_long_wait_is_folded(wires: tuple[Tap, Page], page: BrowserPage) -> None:
    tap, diagram = wires
    now = time.monotonic_ns()
    for seconds in (0, 3):
        add(tap, f"GET {seconds}", time=now + seconds * 10**9)
    page.goto(diagram.url)
    expect_page(page.locator(".waited")).to_have_text("3.00 s later")


def test_page_comes_back(page: BrowserPage, troubles: list[str]) -> None:
    """When the server is gone the page says so, tries again, and shows the new one's events."""
    with served() as (tap, diagram):
        add(tap, "GET old")
        port = diagram.port
        page.goto(diagram.url)
        expect_page(page.locator("#picture .event")).to_have_count(1)
    expect_page(page.locator("#connection")).to_contain_text("Connection lost")
    with Tap(f"redis://{HOST}:{free_port()}/0") as tap:
        tap.redis_url_for("web")
        Page(tap, port)
        add(tap, "GET new")
        expect_page(page.locator("#picture .event")).to_contain_text("GET new")
    troubles.clear()  # the browser notes each try that fails


@pytest.mark.thorough
@pytest.mark.alone
def test_ten_thousand_events_stay_fluid(wires: tuple[Tap, Page], page: BrowserPage) -> None:
    """Of 12,000 events the page keeps 10,000, draws few, and scrolls within a frame or two."""
    tap, diagram = wires
    now = time.monotonic_ns()

    def fill() -> None:
        for number in range(12_000):
            event = Event(0, now + number * 10**6, "web", REDIS, RESP, f"GET {number}")
            event.protocol = (HTTP, RESP, WEBSOCKET)[number % 3]
            tap.log.add(event)

    tap.call(fill)
    assert tap.log.dropped == 2_000
    page.goto(diagram.url)
    last = page.locator("#picture .event", has_text="GET 11999")
    expect_page(last).to_be_visible(timeout=20_000)
    expect_page(page.locator("#older")).to_contain_text("2000 older events")
    assert page.locator("#picture .event").count() < 120
    add(tap, "GET the next")
    expect_page(page.locator("#picture .event", has_text="GET the next")).to_be_visible()
    frames = page.evaluate(SCROLL_THROUGH)
    assert sorted(frames)[len(frames) // 2] < 40, frames  # milliseconds a frame, the median


SCROLL_THROUGH = """async () => {
  const diagram = document.getElementById("diagram");
  document.getElementById("follow").checked = false;
  const frames = [];
  let last = performance.now();
  for (let step = 0; step < 60; step++) {
    diagram.scrollTop = (diagram.scrollHeight * step) / 60;
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    frames.push(now - last);
    last = now;
  }
  return frames;
}"""
