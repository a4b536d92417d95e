"""Chapter 6 under abuse: no stranger gets in, nothing grows, no other client notices."""

import asyncio
import json
import re
import uuid
from contextlib import suppress

import psutil
import pytest
from playwright.sync_api import Page
from playwright.sync_api import expect as expect_page
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Origin

from course.testkit import RunningProject, eventually, expect, expect_that, run_async
from course.testkit.expect import NotAsExpected

pytestmark = pytest.mark.thorough

SECURITY = "project/security.py"
VIEWS = "project/ws/views.py"
PROTOCOL = "project/ws/protocol.py"
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    "task_id", ["1", "%00", "..%2f..%2fetc", "a" * 10_000, "{0}", "<b>", "%F0%9F%92%A3"]
)
def test_bad_ids_are_refused(project: RunningProject, task_id: str) -> None:
    """What is no UUID is refused, over HTTP and at the handshake, and nothing is subscribed."""
    before = project.channels()
    answer = project.http.get(f"{project.url}/task_status/{task_id}")
    expect_that(answer.status_code in (404, 422), "404 or 422", answer.status_code)
    if len(task_id) < 5000:
        status = project.handshake_status(task_id, origin=project.web.origin)
        expect("the status of the handshake", status, 403)
    expect("channels", project.channels(), before)


@pytest.mark.parametrize(
    "frames",
    [["hello"], [b"\0"], ["hello"] * 10_000, ['{"state": "SUCCESS"}']],
    ids=["text", "binary", "flood", "forged"],
)
def test_socket_only_speaks(project: RunningProject, frames: list[str | bytes]) -> None:
    """A client that sends frames is closed with 1008, however many they are."""
    memory = psutil.Process(project.web.process.pid).memory_info
    before = memory().rss
    with project.follow(project.pending_task()) as follower:
        follower.next()
        with suppress(ConnectionClosed, OSError):  # closed before all was sent
            for frame in frames:
                follower.connection.send(frame)
        expect("the close code", follower.close_code(), 1008, look_at=VIEWS)
    grown = memory().rss - before
    expect_that(grown < 20_000_000, "less than 20 MB more", f"{grown:,} bytes")


@pytest.mark.parametrize(
    "frame",
    [b"\x81\x81\0\0\0\0\xff", b"\xc1\x83\0\0\0\0abc", b"\x83\x80\0\0\0\0", b"\x81\x01a"],
    ids=["no UTF-8", "reserved bit", "reserved opcode", "not masked"],
)
def test_frame_that_is_none_leaves_no_traceback(project: RunningProject, frame: bytes) -> None:
    """Two hundred clients break the protocol as the first frame is sent: the log stays clean."""
    web = project.web
    start = len(web.process.lines)
    handshake = (
        f"GET /ws/task_status/{project.pending_task()} HTTP/1.1\r\nHost: {web.host}:{web.port}\r\n"
        f"Origin: {web.origin}\r\nCookie: {project.cookie_header['Cookie']}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {'A' * 22}==\r\n\r\n"
    )

    async def one(number: int) -> None:
        reader, writer = await asyncio.open_connection(web.host, web.port)
        writer.write(handshake.encode())
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        await asyncio.sleep(number % 25 / 8000)  # the first frame is sent within these 3 ms
        writer.write(frame)
        received = b"-"
        while received and b"\x88" not in received:  # a close frame, or the end
            received = await asyncio.wait_for(reader.read(1000), 10)
        writer.close()

    async def crowd() -> None:
        for _ in range(8):
            await asyncio.gather(*(one(number) for number in range(25)))

    run_async(crowd)
    written = "\n".join(web.process.lines[start:])
    for trouble in ("Traceback", "never retrieved"):
        expect_that(trouble not in written, "no error in the log", written[-800:], look_at=PROTOCOL)


def test_large_frame_is_refused(project: RunningProject) -> None:
    """A frame of 1 MB is refused with 1009, before the app sees it."""
    with project.follow(project.pending_task()) as follower:
        follower.next()
        with suppress(ConnectionClosed, OSError):  # refused before all was sent
            follower.connection.send("x" * 1_000_000)
        expect("the close code", follower.close_code(), 1009, look_at="Procfile")


@pytest.mark.parametrize(("setting", "same_task"), [("CLIENT", False), ("TASK", True)])
def test_sockets_are_limited(project: RunningProject, setting: str, same_task: bool) -> None:
    """One client address, and one task, have a limited number of sockets; others are served."""
    web = project.web_with(**{f"WS_MOST_PER_{setting}": "20"})
    task_ids = [project.pending_task() for _ in range(60)]
    one_id = task_ids[0]

    async def open_many() -> tuple[int, int]:
        opened, refused = [], 0
        for task_id in task_ids:
            try:
                one = one_id if same_task else task_id
                opened.append(await project.open_socket(one, web))
            except NotAsExpected:
                refused += 1
        for socket in opened:
            await socket.close()
        return len(opened), refused

    expect("sockets opened and refused", run_async(open_many), (20, 40), look_at=SECURITY)

    def opens_again() -> bool:
        try:
            with project.follow(one_id, web):
                return True
        except NotAsExpected:
            return False

    eventually(opens_again, bool, "a socket opens again when the others are closed", within=5)


def test_ten_thousand_handshakes(project: RunningProject) -> None:
    """10,000 handshakes that are refused cost nothing that stays, and the page is served."""
    process = psutil.Process(project.web.process.pid)
    question = f"GET /ws/task_status/{uuid.uuid4()} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    question += "Origin: https://evil.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    question += "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + "A" * 22 + "==\r\n\r\n"

    async def knock(gate: asyncio.Semaphore) -> bytes:
        async with gate:
            reader, writer = await asyncio.open_connection("127.0.0.1", project.web.port)
            writer.write(question.encode())
            line = await asyncio.wait_for(reader.readline(), 20)
            writer.close()
            return line

    async def crowd(number: int) -> set[bytes]:
        gate = asyncio.Semaphore(100)
        return set(await asyncio.gather(*(knock(gate) for _ in range(number))))

    run_async(lambda: crowd(1_000))  # what grows once, has grown
    before = process.memory_info().rss
    lines = run_async(lambda: crowd(9_000))
    expect("the answers", lines, {b"HTTP/1.1 403 Forbidden\r\n"})
    grown = process.memory_info().rss - before
    expect_that(grown < 20_000_000, "less than 20 MB more", f"{grown:,} bytes")
    eventually(
        lambda: len(process.net_connections("inet")),
        lambda number: number < 50,
        "the connections are gone",
        within=10,
    )


@pytest.mark.parametrize(
    "email",
    [
        "a" * 10_000 + "@example.com",
        "ada@example.com\r\nBcc: all@example.com",
        "<script>alert(1)</script>@example.com",
        '"<img src=x>"@example.com',
        "ada@example.com\0",
    ],
    ids=["long", "header", "script", "quoted", "nul"],
)
def test_bad_addresses_are_refused(project: RunningProject, email: str) -> None:
    """Long, injected and marked-up addresses are answered with 413 or 422."""
    status = project.post(email).status_code
    expect_that(status in (413, 422), "413 or 422", status, look_at="project/subscriptions")


def test_unicode_address_is_kept(project: RunningProject) -> None:
    """An address in other letters than ASCII goes through as it is."""
    status = project.until_final(project.subscribe("jürgen@bücher.example"))
    expect("the state", status["state"], "SUCCESS")
    expect_that("jürgen@bücher.example" in str(status["result"]), "the same address", status)


def test_text_is_shown_as_text(project: RunningProject, page: Page) -> None:
    """What the server says is shown as text, never as markup."""
    page.goto(project.url)
    forged = {"task_id": "1", "state": "FAILURE", "error": "<img src=x onerror=alert(1)>"}
    page.route_web_socket(re.compile("/ws/"), lambda socket: socket.send(json.dumps(forged)))
    page.get_by_label("e-mail").fill("ada@example.com")
    page.get_by_role("button").click()
    expect_page(page.get_by_role("status")).to_contain_text("<img src=x")
    expect("images on the page", page.locator("img").count(), 0)


@pytest.mark.parametrize(
    ("body", "statuses"),
    [
        (b"[" * 9_000, {400, 422}),
        (b'{"email":' * 900, {400, 422}),
        (b"{", {422}),
        (b"", {422}),
        (b"\xff\xfe", {400, 422}),
        (b'{"email": "a@example.com"}' + b" " * 1_000_000, {413}),
    ],
    ids=["arrays", "objects", "cut", "empty", "bytes", "large"],
)
def test_bad_bodies_are_refused(project: RunningProject, body: bytes, statuses: set[int]) -> None:
    """Bodies that are deep, broken or large are refused as what they are, never with 500."""
    answer = project.http.post(f"{project.url}/subscriptions", content=body, headers=JSON)
    expect_that(answer.status_code in statuses, f"one of {statuses}", answer.status_code)


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None]
)
def test_other_sites_forms_start_nothing(project: RunningProject, kind: str | None) -> None:
    """A form of another site cannot start a task: only JSON is taken, which a form cannot send."""
    headers = {"Origin": "https://evil.example"} | ({"Content-Type": kind} if kind else {})
    body = b'{"email": "ada@example.com"}'
    answer = project.http.post(f"{project.url}/subscriptions", content=body, headers=headers)
    expect("the status of a POST that is not JSON", answer.status_code, 422)


def test_other_sites_scripts_are_not_allowed(project: RunningProject) -> None:
    """A script of another site may not send JSON: the browser asks first, and is not told yes."""
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = project.http.options(f"{project.url}/subscriptions", headers=headers)
    expect_that("access-control-allow-origin" not in answer.headers, "no permission", answer)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "a" * 5000])
def test_other_hosts_are_refused(project: RunningProject, host: str) -> None:
    """A Host that is not ours is refused: a name that leads here may be somebody else's."""
    answer = project.http.get(project.url, headers={"Host": host})
    expect(f"the status with Host: {host[:20]}", answer.status_code, 400, look_at=SECURITY)
    status = project.handshake_status(
        str(uuid.uuid4()), origin=f"http://{host}", additional_headers={"Host": host}
    )
    expect_that(status in (400, 403), "a handshake refused with 400 or 403", status)


def test_security_headers(project: RunningProject) -> None:
    """Every answer carries the headers that tell a browser to be careful."""
    for path in ("/", "/static/page.js", "/task_status/no-uuid", "/nowhere"):
        headers = project.http.get(f"{project.url}{path}").headers
        for name in ("content-security-policy", "x-content-type-options", "referrer-policy"):
            expect_that(name in headers, f"{name} on {path}", dict(headers), look_at=SECURITY)


def test_logs_hold_no_secrets(project: RunningProject) -> None:
    """A password in a setting is not printed, not even when the setting is wrong."""
    secret = "hunter2secret"
    for setting in ("CELERY_BROKER_URL", "CELERY_RESULT_BACKEND", "WS_MESSAGE_QUEUE"):
        process = project.launch_web(None, **{setting: f"mysql://:{secret}@127.0.0.1:1/0"}).process
        process.wait(10)
        process.kill()
        output = "\n".join(process.lines)
        expect_that(setting in output, "the name of the setting", output)
        expect_that(secret not in output, "no password in the log", output, look_at="project")
    # A slash ends the address: what is left of the password is taken for a port or a database.
    for url in (f"redis://:pa/{secret}@127.0.0.1:6379/0", f"redis://:{secret}/x@127.0.0.1:6379/0"):
        process = project.launch_web(None, REDIS_URL=url).process
        code = process.wait(10)
        process.kill()
        output = "\n".join(process.lines)
        expect("the exit code with a wrong REDIS_URL", code, 1, look_at="project/config.py")
        expect_that(secret not in output, "no part of the password in the log", output)
    wrong_password = project.redis.url.replace("redis://", f"redis://stranger:{secret}@")
    web = project.start_web(None, REDIS_URL=wrong_password)
    answer = project.http.get(f"{web.url}/readyz")
    expect("the status of /readyz with a wrong password", answer.status_code, 503)
    project.end(web.process)
    output = "\n".join(web.process.lines)
    expect_that(secret not in output, "no password in the log", output, look_at="project")


def test_heartbeat_that_pages_would_miss_is_refused(project: RunningProject) -> None:
    """A page waits 40 seconds for the first heartbeat: a longer interval stops the start."""
    process = project.launch_web(None, WS_HEARTBEAT_SECONDS="45").process
    code = process.wait(15)
    process.kill()
    output = "\n".join(process.lines)
    expect("the exit code", code, 1, look_at="project/config.py")
    expect_that("WS_HEARTBEAT_SECONDS" in output, "a sentence that names the setting", output)


def test_handshake_without_origin_is_refused(project: RunningProject) -> None:
    """A handshake that names no origin is refused, too."""
    expect("the status", project.handshake_status(str(uuid.uuid4())), 403, look_at=SECURITY)


def test_allowed_origin_may_come(project: RunningProject) -> None:
    """An origin in ALLOWED_ORIGINS may open the socket."""
    web = project.web_with(ALLOWED_ORIGINS="https://friend.example,https://other.example")
    origin = Origin("https://friend.example")
    with connect(
        web.task_socket(project.pending_task()),
        origin=origin,
        additional_headers=project.cookie_header,
    ) as socket:
        expect("the first state", json.loads(socket.recv(timeout=5))["state"], "PENDING")
