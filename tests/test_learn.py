"""`./course learn`: the server, who gets in, the judgements on each save, and the page."""

import functools
import http.server
import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from command import start_course
from playwright.sync_api import Page, expect
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from course.content.chapters import find_chapter
from course.content.ideas import FAILED, PASSED, START, Idea
from course.content.steps import Step, find_state
from course.learn import engine as engine_module
from course.learn.access import Access, read_key
from course.learn.engine import Engine
from course.learn.serving import LearnProblem, Options, serve
from course.learn.state import RED, State
from course.processes import HOST, free_port, wait_for
from course.processes.guard import Guard
from course.processes.tree import is_alive, relatives
from course.site import build
from course.testkit.events import Failure
from course.work.folder import start
from course.work.progress import STATE
from course.work.session import Decision, Result

VIEWS = "project/subscriptions/views.py"
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
LESSON = """<!doctype html>
<html lang="en">
  <head><title>Short polling</title><link rel="icon" href="data:,"></head>
  <body>
    <main>
      <h1>1. Short polling</h1>
      <h2 id="step-1-hand-the-work-to-a-worker">Step 1</h2>
      <h2 id="step-2-query-the-state-of-a-task">Step 2</h2>
      <div class="quiz" data-question="01-1">
        <details data-right="true"><summary>One</summary><p>Right.</p></details>
        <details data-right="false"><summary>Two</summary><p>Not quite.</p></details>
      </div>
    </main>
  </body>
</html>
"""


class Learn:
    """`./course learn` on a project of its own, at ports of its own."""

    def __init__(self, project: Path, site: Path, temporary: Path, port: int = 0) -> None:
        self.project, self.site, self.temporary = project, site, temporary
        self.port = port or free_port()
        self.web_port = free_port()
        self.own = f"http://{HOST}:{self.port}"
        temporary.mkdir(exist_ok=True)
        options = ["--no-open", "--project", project, "--site", site, "--port", self.port]
        options += ["--web-port", self.web_port, "--newsletter-port", free_port()]
        self.process = start_course("learn", "01", *options, TMPDIR=str(temporary))
        found = wait_for(lambda: "Ctrl-C ends this" in self.text, 30)
        assert found, self.text
        address = re.search(r"http://\S+", self.text)
        assert address
        self.address = address[0]
        self.token = self.address.partition("token=")[2].partition("&")[0]

    @property
    def text(self) -> str:
        return "\n".join(self.process.lines)

    def cookies(self) -> dict[str, str]:
        return dict(httpx.get(self.address).cookies)

    def client(self) -> httpx.Client:
        """What the own page may do."""
        return httpx.Client(base_url=self.own, cookies=self.cookies(), headers={"Origin": self.own})

    def socket(self, origin: str | None = "own", cookies: dict[str, str] | None = None) -> Any:
        cookies = self.cookies() if cookies is None else cookies
        return connect(
            f"ws://{HOST}:{self.port}/learn/ws/01",
            origin=Origin(self.own if origin == "own" else origin) if origin else None,
            additional_headers={"Cookie": "; ".join(f"{k}={v}" for k, v in cookies.items())},
        )


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site of one lesson. The real one takes seconds to build."""
    lesson = tmp_path / "site" / "lessons" / "01"
    lesson.mkdir(parents=True)
    (lesson / "index.html").write_text(LESSON)
    (tmp_path / "site" / "index.html").write_text("<!doctype html><title>Home</title>")
    return tmp_path / "site"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Work that has just been begun."""
    start(find_state("01"), work=tmp_path / "mine")
    return tmp_path / "mine"


@contextmanager
def learning(project: Path, site: Path, port: int = 0) -> Iterator[Learn]:
    learn = Learn(project, site, project.with_name("temporary"), port)
    try:
        yield learn
    finally:
        learn.process.stop()


class Follower:
    """What an open page of lesson 1 knows, message by message."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self.state: dict[str, Any] = {}
        self.seen: list[dict[str, Any]] = []  # the state after each message
        self.receive(10)

    def receive(self, limit: float) -> None:
        message = json.loads(self._connection.recv(limit))
        assert message.pop("type") == ("change" if self.state else "state")
        self.state = self.state | message
        self.seen.append(self.state)

    def until(self, condition: Callable[[dict[str, Any]], bool], limit: float = 40) -> None:
        deadline = time.monotonic() + limit
        while not condition(self.state):
            self.receive(deadline - time.monotonic())

    def step(self, number: int) -> dict[str, Any]:
        found: dict[str, Any] = self.state["chapter"]["steps"][number]
        return found


def do_step(project: Path, name: str) -> None:
    """Save the files of that step, as a student does who follows the lesson."""
    step = find_state(name)
    assert isinstance(step, Step)
    for place, path in step.changed.items():
        (project / place).parent.mkdir(parents=True, exist_ok=True)
        (project / place).write_bytes(path.read_bytes())


# Who gets in.


def test_only_the_own_browser_gets_in(project: Path, site: Path) -> None:
    """Without cookie, with another Host or Origin: nothing. The token is exchanged for a cookie."""
    with learning(project, site) as learn:
        lesson = f"{learn.own}/lessons/01/"
        assert httpx.get(lesson).status_code == 403
        assert httpx.get(learn.address.replace(learn.token, "wrong")).status_code == 403
        entered = httpx.get(learn.address)
        assert entered.status_code == 303
        assert entered.headers["location"] == "/lessons/01/"
        cookie = entered.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "samesite=strict" in cookie.lower()
        assert learn.token not in cookie

        own, cookies = {"Origin": learn.own}, learn.cookies()
        assert 'id="learn"' in httpx.get(lesson, cookies=cookies).text
        assert httpx.get(lesson, cookies=cookies, headers={"Host": "evil.example"}).is_error
        for headers in ({"Origin": "http://evil.example"}, {"Origin": f"http://{HOST}:1"}, {}):
            refused = httpx.post(f"{learn.own}/learn/run", cookies=cookies, headers=headers)
            assert refused.status_code == 403, headers
        assert httpx.post(f"{learn.own}/learn/run", headers=own).status_code == 403
        for origin, given in (("http://evil.example", None), (None, None), ("own", {})):
            with pytest.raises(InvalidStatus) as refusal:
                learn.socket(origin, given)
            assert refusal.value.response.status_code == 403
        with learn.client() as client:
            for command in ("rm", "run/../shell", "commands"):
                assert client.post(f"/learn/{command}", json={"lesson": "01"}).is_error
            assert client.post("/learn/check", json={"lesson": "01; ls"}).status_code == 422
        with learn.socket() as connection:
            follower = Follower(connection)
            assert follower.state["run"]["state"] == "stopped"
        kept = [*learn.process.lines, (project / STATE).read_text()]
        assert sum(text.count(learn.token) for text in kept) == 1, "the address that is printed"


def test_the_way_in_leads_nowhere_else(tmp_path: Path) -> None:
    """The path behind the token is one of this server; the key is the user's alone."""
    from starlette.requests import Request

    access = Access(8020, tmp_path / "key")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert read_key(tmp_path / "key") == read_key(tmp_path / "key")
    for then, there in (
        ("/lessons/04/", "/lessons/04/"),
        ("//evil.example/", "/evil.example/"),
        ("/\\evil.example/", "/"),
        ("https://evil.example/", "/https://evil.example/"),
    ):
        query = access.address(then).partition("?")[2]
        request = Request({"type": "http", "query_string": query.encode(), "headers": []})
        assert access.enter(request).headers["location"] == there


def test_port_of_http_is_left_out(tmp_path: Path) -> None:
    """At port 80 a browser's Host names no port, at any other it has to."""
    from starlette.datastructures import Headers

    for port, is_own in ((80, True), (8020, False)):
        access = Access(port, tmp_path / "key")
        assert access.is_own_host(Headers({"host": "127.0.0.1"})) is is_own
        assert access.is_own_host(Headers({"host": f"127.0.0.1:{port}"}))


@pytest.mark.timeout(60)
def test_page_of_another_origin_gets_nothing(
    project: Path, site: Path, page: Page, troubles: list[str]
) -> None:
    """In the same browser, which sends its cookie to every port of this machine."""
    with learning(project, site) as learn, other_server(site) as other:
        page.goto(learn.address)
        expect(page.get_by_role("heading", name="Your work")).to_be_visible()
        page.goto(other)
        own = learn.own
        read = page.evaluate(
            "url => fetch(url, {credentials: 'include'}).then(a => a.text(), e => String(e))",
            f"{own}/lessons/01/",
        )
        assert "Failed to fetch" in read
        page.evaluate(
            "url => fetch(url, {method: 'POST', mode: 'no-cors', credentials: 'include'})"
            ".catch(() => null).then(() => null)",
            f"{own}/learn/run",
        )
        closed = page.evaluate(
            "url => new Promise(r => new WebSocket(url).onclose = ({code}) => r(code))",
            f"ws://{HOST}:{learn.port}/learn/ws/01",
        )
        assert closed == 1006
        assert page.evaluate(LOAD_SCRIPT, f"{own}/learn/static/learn.js") == "error"
        with learn.socket() as connection:
            assert Follower(connection).state["run"]["state"] == "stopped"
    troubles.clear()  # each of the tries


LOAD_SCRIPT = """url => new Promise((resolve) => {
  const script = document.createElement("script");
  script.src = url;
  script.onload = script.onerror = ({ type }) => resolve(type);
  document.head.append(script);
})"""


@contextmanager
def other_server(folder: Path) -> Iterator[str]:
    """Another program of this machine that serves pages."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    with http.server.ThreadingHTTPServer((HOST, 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{HOST}:{server.server_port}/"
        server.shutdown()


# Judging.


@pytest.mark.thorough
@pytest.mark.timeout(120)
def test_save_is_judged_and_a_new_one_ends_the_old(project: Path, site: Path) -> None:
    """Red, then green; what a judgement finds after a new save is never shown as new."""
    with learning(project, site) as learn, learn.socket() as connection:
        follower = Follower(connection)
        follower.until(lambda state: state["chapter"]["steps"][1]["state"] == "red")
        failing = follower.state["judgement"]["failing"]
        assert failing["key"] == "test_subscription_is_accepted_at_once"
        assert (failing["seen"], failing["step"]) == ("200", "01.1")
        assert VIEWS in failing["look_at"]

        first = follower.state["judgement"]["serial"]
        (project / VIEWS).write_text("def begun(\n")
        follower.until(lambda state: state["judgement"]["serial"] > first)
        second = follower.state["judgement"]["serial"]
        assert follower.state["judgement"]["saved"] == [VIEWS]
        assert follower.state["judgement"]["failing"] is None
        do_step(project, "01.1")
        follower.until(lambda state: state["judgement"]["serial"] > second)
        at = len(follower.seen)
        follower.until(lambda state: state["chapter"]["steps"][1]["state"] == "green")
        new = [state["judgement"] for state in follower.seen[at - 1 :]]
        assert all(judgement["failing"] is None for judgement in new)
        assert follower.state["chapter"]["open_step"] == "01.2"


def test_result_of_an_older_save_is_dropped(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a check says after a save that it has not seen is neither shown nor kept."""
    shown: list[State] = []

    def fake_check(ideas: list[Idea], project: Path, **more: Any) -> Result:
        is_first = not checked
        checked.append([idea.key for idea in ideas])
        if is_first:
            engine.judge(saved=[VIEWS])  # a save, while this one is being made
        result = Result([Decision(idea) for idea in ideas])
        for decision in result.decisions:
            decision.state = FAILED if is_first else PASSED
            decision.failure = Failure("this", "the old one") if is_first else None
            more["on_judged"](decision)
        return result

    checked: list[list[str]] = []
    monkeypatch.setattr(engine_module, "check", fake_check)
    engine = Engine(project, find_chapter("01"))
    engine.store.on_change = lambda: shown.append(engine.store.state)
    with engine:
        engine.judge()
        assert wait_for(lambda: engine.store.state.chapters["01"].is_done, 10)
        assert wait_for(lambda: not engine.store.state.judgement.is_running, 10)
    assert all(state.judgement.failing is None for state in shown)
    assert all(step.state != RED for state in shown for step in state.chapters["01"].steps)
    assert checked[0] == checked[1], "the new save was judged from the beginning"
    kept = json.loads((project / STATE).read_text())["chapters"]["01"]
    assert kept["first_failed"] is None
    assert len(kept["passed"]) == sum(len(keys) for keys in checked[1:])


def judge_twice(
    project: Path, monkeypatch: pytest.MonkeyPatch, fails_then: str
) -> tuple[State, State]:
    """All holds, then, after a save, this idea fails: the state after each."""
    failing: set[str] = set()

    def fake_check(ideas: list[Idea], project: Path, **more: Any) -> Result:
        result = Result([Decision(idea) for idea in ideas])
        for decision in result.decisions:
            decision.state = FAILED if decision.idea.key in failing else PASSED
            decision.failure = Failure("this", "that") if decision.state == FAILED else None
            more["on_judged"](decision)
            if decision.state == FAILED:
                break
        return result

    monkeypatch.setattr(engine_module, "check", fake_check)
    engine = Engine(project, find_chapter("01"))
    with engine:
        engine.judge()
        assert wait_for(lambda: not engine.store.state.judgement.is_running, 10)
        first = engine.store.state
        failing.add(fails_then)
        engine.judge(saved=[VIEWS])
        assert wait_for(lambda: not engine.store.state.judgement.is_running, 10)
    return first, engine.store.state


def test_later_step_is_not_green_by_an_older_save(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake in a step that was done: what comes after it is not known any more."""
    first, then = judge_twice(project, monkeypatch, "test_subscription_is_accepted_at_once")
    assert first.chapters["01"].is_done
    assert first.judgement.decided == first.judgement.ideas > 20
    steps = then.chapters["01"].steps
    assert [step.state for step in steps] == ["green", "red", *["not yet"] * 6]


def test_project_that_does_not_start_keeps_its_steps(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That says nothing of the steps: what held is still shown, as of an older save."""
    _, then = judge_twice(project, monkeypatch, START)
    steps = then.chapters["01"].steps
    assert [step.state for step in steps] == ["red", *["green"] * 7]
    assert not any(step.is_judged_by(then.judgement.serial) for step in steps[1:])


@pytest.mark.thorough
@pytest.mark.timeout(90)
def test_ctrl_c_leaves_nothing(project: Path, site: Path) -> None:
    """In the middle of a judgement and a run: no process, no folder."""
    with learning(project, site) as learn:
        with learn.client() as client, learn.socket() as connection:
            assert client.post("/learn/run").status_code == 202
            follower = Follower(connection)
            follower.until(lambda state: state["run"]["page_answers"])
            (project / "main.py").touch()
            running = follower.state["judgement"]["serial"]
            follower.until(lambda state: state["judgement"]["serial"] > running)
            assert wait_for(lambda: bool(list(learn.temporary.glob("course-check-*/*"))), 10)
        members = relatives(learn.process.pid)
        learn.process.signal(signal.SIGINT)
        assert learn.process.wait(20) == 128 + signal.SIGINT, learn.text
        assert "Traceback" not in learn.text
        assert wait_for(lambda: not any(map(is_alive, members)), 5)
        assert list(learn.temporary.iterdir()) == []


# The page.


@pytest.mark.timeout(120)
def test_page_follows_the_work(project: Path, site: Path, page: Page) -> None:
    """Begin, see red, take a hint, save, see green: in two tabs, and after a reload."""
    mine = project.with_name("begun-here")
    with learning(mine, site) as learn:
        page.goto(learn.address)
        assert page.url == f"{learn.own}/lessons/01/"
        other = page.context.new_page()
        other.goto(page.url)
        page.get_by_role("button", name="Begin this chapter").click()
        assert wait_for((mine / STATE).exists, 10)
        for tab in (page, other):
            failing = tab.get_by_role("region", name="The answer to a subscription")
            wanted = "the status of POST /subscriptions: 202"
            expect(failing).to_contain_text(wanted, timeout=30_000)
        page.get_by_role("button", name="Give me a hint").click()
        for tab in (page, other):
            expect(tab.get_by_role("list", name="Hints")).to_contain_text("Hint 1 of 3")
        page.locator(".quiz summary", has_text="Two").click()
        expect(other.locator(".quiz details.wrong")).to_have_count(1)

        page.reload()
        expect(page.get_by_role("list", name="Hints")).to_contain_text("Hint 1 of 3")
        expect(page.locator(".quiz details.wrong")).to_have_count(1)
        do_step(mine, "01.1")
        for tab in (page, other):
            line = tab.get_by_role("listitem").filter(has_text="01.1 Hand the work to a worker")
            expect(line.get_by_text("green", exact=True)).to_be_visible(timeout=30_000)
        kept = json.loads((mine / STATE).read_text())
        assert kept["answers"] == {"01-1": [1]}
        assert kept["chapters"]["01"]["hints"] == {"test_subscription_is_accepted_at_once": 1}
        page.goto("about:blank")  # before the server ends: the browser notes each try that fails


def look_at_all_sizes(page: Page, name: str) -> None:
    page.emulate_media(reduced_motion="reduce")
    for scheme in ("light", "dark"):
        for size, (width, height) in SIZES.items():
            page.set_viewport_size({"width": width, "height": height})
            page.emulate_media(color_scheme=scheme)
            page.evaluate("window.scrollTo(0, 0)")
            assert page.evaluate("document.documentElement.scrollWidth") == width
            if size == "phone":
                save_view(page, f"{name}-{size}-{scheme}-closed")
                page.get_by_role("button", name="Show").click()
            save_view(page, f"{name}-{size}-{scheme}")
            assert bar_violations(page) == []
            if size == "phone":
                page.get_by_role("button", name="Hide").click()
    page.set_viewport_size({"width": 1280, "height": 900})


def bar_violations(page: Page) -> list[str]:
    """What axe finds wrong with the bar; the site around it is its theme's."""
    found = json.loads(json.dumps(Axe().run(page, context="#learn").response))["violations"]
    return [f"{item['help']}: {item['nodes'][0]['html']}" for item in found]


def save_view(page: Page, name: str) -> None:
    """A picture of what is in view: the bar is fixed to the window."""
    if folder := os.environ.get("COURSE_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png")


@pytest.mark.thorough
@pytest.mark.xdist_group("site")
@pytest.mark.timeout(600)
def test_first_two_steps_of_chapter_1(
    built_site: Path, project: Path, page: Page, troubles: list[str]
) -> None:
    """Red, green, run, subscribe, wires, hint, reload, a server that is started again."""
    with learning(project, built_site) as learn:
        page.goto(learn.address)
        bar = page.get_by_role("complementary", name="Your work")
        steps = {
            number: bar.get_by_role("listitem").filter(has_text=re.compile(rf"^.01\.{number} "))
            for number in (1, 2)
        }
        expect(steps[1].get_by_text("red", exact=True)).to_be_visible(timeout=40_000)
        look_at_all_sizes(page, "learn-red")
        saved = time.monotonic()
        do_step(project, "01.1")
        expect(steps[1].get_by_text("green", exact=True)).to_be_visible(timeout=40_000)
        print(f"green {time.monotonic() - saved:.1f} s after the save")
        expect(steps[2].get_by_text("red", exact=True)).to_be_visible(timeout=40_000)
        bar.get_by_role("button", name="Give me a hint").click()
        expect(bar.get_by_role("list", name="Hints")).to_contain_text("Hint 1 of 3")

        bar.get_by_role("button", name="Run it").click()
        expect(bar.get_by_text("It is running.")).to_be_visible(timeout=40_000)
        with page.expect_popup() as opened:
            bar.get_by_role("link", name="Its page").click()
        app = opened.value
        app.get_by_label("E-mail").fill("slow+0.5@example.com")
        app.get_by_role("button", name="Subscribe").click()
        expect(bar.get_by_label("Log", exact=True)).to_contain_text("succeeded", timeout=20_000)
        with page.expect_popup() as shown:
            bar.get_by_role("link", name="Its wires").click()
        wires = shown.value
        wires.get_by_text("The same as a table").click()
        expect(wires.locator("#table-rows")).to_contain_text("POST /subscriptions")
        wires.close()

        # A save restarts the app, and its page is loaded again.
        app.evaluate("document.title = 'of before'")
        do_step(project, "01.2")
        expect(steps[2].get_by_text("green", exact=True)).to_be_visible(timeout=60_000)
        expect(app).not_to_have_title("of before", timeout=40_000)
        app.close()
        page.reload()
        for number in (1, 2):
            expect(steps[number]).to_contain_text("green")  # or, in a judgement: green before
        expect(bar.get_by_text("It is running.")).to_be_visible(timeout=40_000)
        look_at_all_sizes(page, "learn-green")
        port = learn.port
        members = relatives(learn.process.pid)
    assert wait_for(lambda: not any(map(is_alive, members)), 5)
    expect(bar.get_by_role("status").first).to_contain_text("Start it again")
    with learning(project, built_site, port):
        expect(bar.get_by_role("status").first).to_have_text("", timeout=20_000)
        expect(steps[2]).to_contain_text("green")
        page.goto("about:blank")
    assert all("ERR_CONNECTION_REFUSED" in text or "WebSocket" in text for text in troubles)
    troubles.clear()  # the browser notes each try that fails


# Problems are said in a sentence.


def test_port_that_is_taken(tmp_path: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(LearnProblem, match=rf"Port {port} is taken.*--port"):
            serve(tmp_path, find_state("01"), Options(port), print)


def test_site_that_cannot_be_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the builder said last is in the message; a folder without a site is named."""
    monkeypatch.setattr(build, "ROOT", tmp_path)
    with Guard() as guard, pytest.raises(build.SiteProblem, match=r"(?s)said last:.*mkdocs"):
        build.build_into(tmp_path / "site", guard, lambda: False)
    with pytest.raises(LearnProblem, match="holds no site"):
        serve(tmp_path, find_state("01"), Options(free_port(), site=tmp_path), print)
