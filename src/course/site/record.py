"""`./course record`: runs the chapters and their steps, and writes down what the pages quote."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import redis
from playwright.sync_api import Page, expect, sync_playwright
from websockets.sync.client import connect
from websockets.typing import Origin

from course.content.chapters import ROOT
from course.content.steps import find_state, folder_of
from course.processes import HOST
from course.processes.browser import browser_arguments, find_browser
from course.site.record_pubsub import KINDS as PUBSUB_KINDS
from course.site.record_pubsub import RecordProblem
from course.site.recorded import Recording, note, recordings, stale
from course.site.wires import write_pictures
from course.testkit import NotAsExpected, RunningProject, run_async, running
from course.wires.text import lines as as_lines

WIDTH = 100  # of a line on a page
SHORT = r"\1-…"  # of a task's id
TASK_ID = re.compile(r"\b([0-9a-f]{8})-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
LIMIT = 60_000  # ms that a task may take


def record(wanted: str, on_done: Callable[[Recording], None]) -> None:
    """Make the recordings whose name begins with `wanted`; "" makes those that are stale.

    Raises RecordProblem.
    """
    chosen = [one for one in recordings() if one.name.startswith(wanted)] if wanted else stale()
    if wanted and not chosen:
        names = ", ".join(one.name for one in recordings())
        raise RecordProblem(f"No recording begins with {wanted!r}. There are {names}.")
    for one in chosen:
        with folder_of(find_state(one.state)) as folder:
            try:
                lines = KINDS[one.shows](folder, **one.options)
            except (AssertionError, NotAsExpected) as problem:  # the browser's, the test kit's
                raise RecordProblem(f"{one.name} cannot be recorded: {problem}") from None
        one.file.write_text("\n".join(map(shortened, lines)) + "\n")
        note(one)
        on_done(one)


def shortened(line: str) -> str:
    """No longer than a page is wide; of a task's id, the beginning is enough."""
    line = TASK_ID.sub(SHORT, line).rstrip()
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…"


@contextmanager
def page_of(project: RunningProject) -> Iterator[Page]:
    """The project's page, in an installed Chromium."""
    found = find_browser()
    if not found:
        raise RecordProblem("No Chromium was found: ./course doctor says how to get one.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=browser_arguments())
        page = browser.new_page()
        page.set_default_timeout(LIMIT)
        page.goto(project.url)
        yield page
        browser.close()


def wire(folder: Path, email: str, until: str) -> list[str]:
    """The panel's rows and totals once the status on the page has the words `until`."""
    with running(folder, settings={}) as project, page_of(project) as page:
        submit(page, email)
        expect(page.get_by_role("status")).to_contain_text(until, timeout=LIMIT)
        rows: list[list[str]] = page.evaluate(
            "[...document.querySelectorAll('#wire-rows tr')]"
            ".map((row) => [...row.cells].map((cell) => cell.textContent))"
        )
        last = [page.locator(name).text_content() or "" for name in ("#totals", "#latency")]
        status = page.get_by_role("status").text_content() or ""
    rows = [[TASK_ID.sub(SHORT, cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True))
        for row in rows
    ]
    return [f"Status: {status}", "", *lines, "", *[text for text in last if text]]


def submit(page: Page, email: str) -> None:
    page.get_by_label("e-mail").fill(email)
    page.get_by_role("button").first.click()


def wires(folder: Path, email: str, until: str, picture: str) -> list[str]:
    """What passes between the processes while the page follows a task, and its diagram."""
    with running(folder, settings={}, with_wires=True) as project, page_of(project) as page:
        assert project.tap
        first = project.subscribe("slow+0@example.com")  # the worker imports at its first message
        project.until_final(first)
        submit(page, email)
        posted = project.tap.wait_for(
            lambda e: e.what == "POST /subscriptions" and e.task_id not in (None, first)
        )
        expect(page.get_by_role("status")).to_contain_text(until, timeout=LIMIT)
        time.sleep(SETTLED)
        events = project.tap.events(posted.task_id)
    write_pictures(events, picture)
    return as_lines(events)


def monitor(folder: Path, email: str, until: str) -> list[str]:
    """What Redis is sent while the page follows a task, without Celery's own bookkeeping."""
    seen: list[tuple[float, str]] = []

    def listen(url: str) -> None:
        with redis.Redis.from_url(url, decode_responses=True) as client, client.monitor() as said:
            listening.set()
            for command in said.listen():
                if END in str(command["command"]):
                    return
                seen.append((float(command["time"]), str(command["command"])))

    with running(folder, settings={}) as project, page_of(project) as page:
        listening = threading.Event()
        listener = threading.Thread(target=listen, args=(project.redis.url,), daemon=True)
        listener.start()
        listening.wait(10)
        started = time.time()
        submit(page, email)
        expect(page.get_by_role("status")).to_contain_text(until, timeout=LIMIT)
        project.redis.client.echo(END)
        listener.join(10)
    return [f"{when - started:6.3f}  {said}" for when, said in seen if is_of_a_task(said)]


SETTLED = 0.5  # seconds after the result is shown, in which connections are closed
END = "the end of the recording"


def is_of_a_task(command: str) -> bool:
    """Is it about a task, and not what workers and their connections say to themselves?"""
    name, _, rest = command.partition(" ")
    if name in ("LPUSH", "GET", "MGET", "SETEX", "SET"):
        return rest.startswith(("celery ", "celery-task-meta-"))
    about_channel = name.upper() in ("SUBSCRIBE", "UNSUBSCRIBE", "PUBLISH")
    return about_channel and ("celery-task-meta-" in rest or bool(TASK_ID.match(rest)))


def requests(folder: Path, email: str, gets: Sequence[float] = (), query: str = "") -> list[str]:
    """A POST, and a GET of the task's status so many seconds after it, each with its answer."""
    lines = []
    with running(folder, settings={}) as project:
        begun = time.monotonic()
        answer = project.post(email)
        lines += [f'POST /subscriptions  {{"email": "{email}"}}', *answered(answer, begun)]
        path = answer.headers.get("location", "")
        for seconds in gets:
            wait_until(begun + seconds)
            asked = time.monotonic()
            answer = project.http.get(f"{project.url}{path}{query}", timeout=60)
            lines += ["", f"GET {path}{query}", *answered(answer, asked)]
    return lines


def wait_until(moment: float) -> None:
    time.sleep(max(0, moment - time.monotonic()))


def answered(answer: Any, begun: float) -> list[str]:
    taken = time.monotonic() - begun
    kept = [
        f"{name}: {answer.headers[name]}"
        for name in ("location", "retry-after")
        if name in answer.headers
    ]
    reason = f"{answer.status_code} {answer.reason_phrase}, after {taken:.3f} s"
    return [reason, *kept, answer.text]


def redis_down(folder: Path) -> list[str]:
    """A POST while Redis is down, and how long its answer takes."""
    with running(folder, "web", settings={}) as project:
        project.redis.kill()
        begun = time.monotonic()
        answer = project.http.post(
            f"{project.url}/subscriptions", json={"email": "ada@example.com"}, timeout=90
        )
        return ["POST /subscriptions  while Redis is stopped", *answered(answer, begun)]


def waiters(folder: Path, counts: Sequence[int]) -> list[str]:
    """How long the page itself takes while so many requests wait for a task."""
    lines = []
    with running(folder, settings={}) as project:
        path = f"/task_status/{uuid.uuid4()}?wait=8"

        async def crowd(count: int) -> tuple[int, float]:
            opened = [await asyncio.open_connection(HOST, project.web.port) for _ in range(count)]
            for _, writer in opened:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            await asyncio.sleep(1)  # all of them wait on the server now
            begun = time.monotonic()
            answer = await asyncio.to_thread(project.http.get, project.url, timeout=60)
            seconds = time.monotonic() - begun
            for _, writer in opened:
                writer.close()
            return answer.status_code, seconds

        for count in counts:
            status, seconds = run_async(partial(crowd, count))
            lines.append(f"{count:4} requests wait; GET /: {status}, after {seconds:.3f} s")
    return lines


def socket(folder: Path, email: str) -> list[str]:
    """What a client of the task's WebSocket receives, with the seconds since it connected."""
    with running(folder, settings={}) as project:
        task_id = project.subscribe(email)
        begun = time.monotonic()
        lines = [f"GET /ws/task_status/{task_id}  Upgrade: websocket"]
        with connect(project.web.task_socket(task_id), origin=Origin(project.web.origin)) as client:
            lines.append(f"{time.monotonic() - begun:6.3f} s  101 Switching Protocols")
            for message in client:
                lines.append(f"{time.monotonic() - begun:6.3f} s  {message!s}")
            lines.append(f"{time.monotonic() - begun:6.3f} s  closed with {client.close_code}")
    return lines


def left(folder: Path, clients: int) -> list[str]:
    """The queries of the result backend in a second, before and after clients have left."""

    async def come_and_go() -> None:
        for _ in range(clients):
            async with await project.open_socket(str(uuid.uuid4())) as client:
                await asyncio.wait_for(client.recv(), 10)

    with running(folder, settings={}) as project:
        before = project.lookups_in_a_second()
        run_async(come_and_go)
        time.sleep(2)  # the views have had the time to notice
        after = project.lookups_in_a_second()
        begun = time.monotonic()
        project.end_web(project.web)
        seconds = time.monotonic() - begun
    return [
        f"Queries of the result backend in a second, before: {before}",
        f"The same, 2 s after {clients} clients have come and left: {after}",
        f"The web process ends {seconds:.1f} s after SIGTERM",
    ]


def origins(folder: Path) -> list[str]:
    """What a handshake is answered, by the origin of the page that asks for it."""
    with running(folder, "web", settings={}) as project:
        found = []
        for origin in (project.web.origin, "https://evil.example", None):
            status = project.handshake_status(str(uuid.uuid4()), origin=origin and Origin(origin))
            shown = "http://127.0.0.1:8010" if origin == project.web.origin else origin
            found.append(f"Origin: {shown or '(none)':24}  {status}")
    return found


def check(folder: Path, of: str) -> list[str]:
    """What `./course check OF` says of this state of the app."""
    with tempfile.TemporaryDirectory() as made:
        work = Path(made) / "work"
        shutil.copytree(folder, work)
        command = [sys.executable, "-m", "course", "check", of, "--project", "work"]
        env = os.environ | {"PYTHONPATH": str(ROOT / "src"), "NO_COLOR": "1", "COLUMNS": "200"}
        done = subprocess.run(
            command, cwd=made, env=env, capture_output=True, text=True, timeout=200, check=False
        )
    if done.returncode == 2:
        raise RecordProblem(done.stderr)
    return done.stdout.splitlines()


def script(folder: Path, path: str) -> list[str]:
    """What one of the chapter's scripts prints."""
    done = subprocess.run(
        [sys.executable, path], cwd=folder, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.splitlines()


KINDS: dict[str, Callable[..., list[str]]] = {
    "redis_down": redis_down,
    "waiters": waiters,
    "socket": socket,
    "left": left,
    "origins": origins,
    "wire": wire,
    "wires": wires,
    "monitor": monitor,
    "requests": requests,
    "check": check,
    "script": script,
    **PUBSUB_KINDS,
}
