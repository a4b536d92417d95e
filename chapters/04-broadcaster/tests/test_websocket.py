"""The WebSocket, however the web process learns of the end: the same from chapter 3 on."""

import asyncio
import re
import signal
import socket
import time
import uuid
from contextlib import suppress
from itertools import pairwise

import httpx
import pytest
from playwright.sync_api import Page
from playwright.sync_api import expect as expect_page

from course.testkit import RunningProject, Web, expect, expect_that, run_async

VIEWS = "project/ws/views.py"
CELERY = "project/celery_utils.py"
FOLLOW = "project/subscriptions/static/follow.js"
NOT_NOTIFIED = "no message notifies the view of the end, and it does not poll either"
SHARED = "what was sent to one client counts as sent to the next: a variable is shared by all"
NO_QUERY = "the view waits for a message first; the current state is in the result backend"
NOT_CLOSED = "the view returns, or raises, without closing the socket: the client sees 1006"
MOST_PINGS = 40_000_000  # bytes
STATES_BEFORE = {"PENDING", "STARTED", "RETRY"}


def test_first_state_comes_at_once(project: RunningProject) -> None:
    """The current state is the first frame, sent at once."""
    # About a task that was never started no message will ever come, and no fallback poll for long.
    web = project.web_with(WS_FALLBACK_POLL_SECONDS="60")
    pending = project.pending_task()
    for usually in (NO_QUERY, SHARED):
        with project.follow(pending, web) as follower:
            first = follower.next(within=5, usually=usually)
            expect("the state of a task that was never started", first["state"], "PENDING")
    task_id = project.subscribe("slow+0.5@example.com")
    with project.follow(task_id, web) as follower:
        first = follower.next(within=5, usually=NO_QUERY)
        expect_that(first["state"] in STATES_BEFORE, "the current state", first, look_at=VIEWS)
        expect("the task id in the frame", first["task_id"], task_id)


def test_end_is_told(project: RunningProject) -> None:
    """When the task ends the client is notified, with the result."""
    with project.follow(project.subscribe("slow+1.2@example.com")) as follower:
        last = follower.until_final(usually=NOT_NOTIFIED)
        expect("the last state", last["state"], "SUCCESS", look_at=VIEWS)
        expect_that(last.get("result") is not None, "a result", last, look_at=CELERY)
        repeated = [frame for frame, after in pairwise(follower.received) if frame == after]
        expect(
            "frames sent twice in a row",
            repeated,
            [],
            usually="the view sends after each query, not at each change",
            look_at=VIEWS,
        )


def test_failure_is_told(project: RunningProject) -> None:
    """The client is notified of a failure like of a success, with an error."""
    with project.follow(project.subscribe("refused@example.com")) as follower:
        last = follower.until_final()
        expect("the last state", last["state"], "FAILURE", look_at=CELERY)
        expect_that(bool(last.get("error")), "an error", last, look_at=CELERY)


def test_socket_is_closed_after_the_last_state(project: RunningProject) -> None:
    """After the final state the server closes with 1000."""
    with project.follow(project.subscribe("slow+0.2@example.com")) as follower:
        follower.until_final()
        expect("the close code", follower.close_code(), 1000, usually=NOT_CLOSED, look_at=VIEWS)


def test_late_client_learns_the_result(project: RunningProject) -> None:
    """A client that comes after the end learns the result from the result backend."""
    task_id = project.subscribe("slow+0.1@example.com")
    project.until_final(task_id)
    with project.follow(task_id) as follower:
        first = follower.next(within=1.5, usually=NO_QUERY)
        expect(
            "the first state after the task's end",
            first["state"],
            "SUCCESS",
            usually="the view waits for a message that was published before it subscribed",
            look_at=VIEWS,
        )
        expect("the close code", follower.close_code(), 1000, look_at=VIEWS)


def test_every_follower_is_told_on_every_web_process(project: RunningProject) -> None:
    """Two web processes, one worker: each client that follows the task is notified, on either."""
    other = project.another_web()
    task_id = project.subscribe("slow+0.7@example.com")
    with (
        project.follow(task_id) as here,
        project.follow(task_id) as here_too,
        project.follow(task_id, web=other) as there,
    ):
        for name, follower in (("first", here), ("first", here_too), ("second", there)):
            last = follower.until_final(within=4)
            expect(f"the last state at the {name} web process", last["state"], "SUCCESS")


def test_open_sockets_do_not_delay_the_end(project: RunningProject) -> None:
    """SIGTERM with open sockets: they are closed with 1012, and the process ends within 3 s."""
    web = project.another_web()
    with project.follow(project.pending_task(), web) as follower:
        follower.next()
        start = time.monotonic()
        code = project.end_web(web)
        seconds = time.monotonic() - start
        expect_that(
            code is not None and seconds < 3,
            "the web process ends within 3 s of SIGTERM",
            f"exit code {code} after {seconds:.1f} s",
            usually="views wait on after their clients have left",
            look_at=VIEWS,
        )
        expect("the close code", follower.close_code(), 1012)


def test_deadline_ends_the_socket(project: RunningProject) -> None:
    """A task that does not end: after WS_DEADLINE_SECONDS its socket is closed with 1013."""
    web = project.web_with(WS_DEADLINE_SECONDS="1")
    with project.follow(project.pending_task(), web) as follower:
        follower.next()
        code = follower.close_code(
            within=10, usually="the view waits without a limit: asyncio.wait(..., timeout=limit)"
        )
        expect(
            "the close code",
            code,
            1013,
            usually="the end of the time limit has no close code of its own",
            look_at=VIEWS,
        )


@pytest.mark.parametrize("task_id", ["1", "no-uuid", "0" * 5_000])
def test_bad_id_is_refused_at_the_handshake(project: RunningProject, task_id: str) -> None:
    """An id that is no UUID is refused at the handshake, with 403."""
    status = project.handshake_status(task_id, origin=project.web.origin)
    expect(
        "the status of the handshake",
        status,
        403,
        usually="the path parameter is a str; UUID checks it before the socket is accepted",
        look_at=VIEWS,
    )


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://[", None])
def test_foreign_origin_is_refused(project: RunningProject, origin: str | None) -> None:
    """A page of another origin cannot open the socket: the handshake is refused with 403."""
    status = project.handshake_status(str(uuid.uuid4()), origin=origin)
    expect(
        f"the status of a handshake with Origin: {origin}",
        status,
        403,
        usually="CORSMiddleware does not check WebSockets; check the Origin before accept()",
        look_at=VIEWS,
    )


def handshake(project: RunningProject, web: Web) -> bytes:
    """The request that opens a socket, for clients that do what no library would."""
    lines = (
        f"GET /ws/task_status/{project.pending_task()} HTTP/1.1",
        f"Host: {web.host}:{web.port}",
        f"Origin: {web.origin}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        *(f"{name}: {value}" for name, value in project.cookie_header.items()),
    )
    return "\r\n".join([*lines, "", ""]).encode()


def test_client_that_sends_is_closed(project: RunningProject) -> None:
    """A client that sends, and leaves while a frame is on its way, leaves no error in the log."""
    log = len(project.web.process.lines)
    request = handshake(project, project.web)

    async def send_and_leave(number: int) -> None:
        reader, writer = await asyncio.open_connection(project.web.host, project.web.port)
        writer.write(request)
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        await asyncio.sleep(number % 25 / 8000)  # the first frame is sent within these 3 ms
        writer.write(b"\x81\x85" + bytes(4) + b"hello")  # masked with zeros: as it is
        writer.close()

    async def crowd() -> None:
        for _ in range(8):
            await asyncio.gather(*(send_and_leave(number) for number in range(25)))

    run_async(crowd)
    with project.follow(project.pending_task()) as follower:
        follower.next()
        follower.connection.send("hello")
        expect("the close code", follower.close_code(), 1008, look_at=VIEWS)
    written = "\n".join(project.web.process.lines[log:])
    for trouble in ("Traceback", "is away", "cannot be followed", "failed"):
        expect_that(
            trouble not in written,
            "no error in the log of the web process",
            written[-800:],
            usually="two places close the socket, or a client that left is taken for an error",
            look_at=VIEWS,
        )


def test_client_that_never_reads_is_not_read(project: RunningProject) -> None:
    """A client that sends pings and reads no pong cannot fill the server's memory."""
    web = project.another_web()
    pings = (b"\x89\xfd" + bytes(4) + b"p" * 125) * 500  # masked with zeros: as they are
    accepted = 0
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        client.settimeout(2)
        client.connect((web.host, web.port))
        client.sendall(handshake(project, web))
        answer = client.recv(4096)
        expect_that(answer.startswith(b"HTTP/1.1 101"), "the socket opens", repr(answer))
        with suppress(OSError):  # the server reads no more, or has given the client up
            while accepted < MOST_PINGS:
                accepted += client.send(pings[accepted % len(pings) :])  # goes on inside a frame
    expect_that(
        accepted < MOST_PINGS,
        f"the server stops reading after less than {MOST_PINGS:,} bytes of pings",
        f"it took {accepted:,} bytes, and keeps the pongs in memory",
        usually="this implementation of WebSockets reads on while it cannot send: --ws websockets",
        look_at="Procfile",
    )


def test_blocking_reads_stay_off_the_loop(project: RunningProject) -> None:
    """While Redis is frozen, the web process still serves the page: nothing blocks its loop."""
    task_id = project.pending_task()

    async def come_while_redis_is_frozen() -> None:
        answers = 0
        async with httpx.AsyncClient(timeout=10) as client:
            project.redis.signal(signal.SIGSTOP)
            try:
                # Each query is given up after a second. On the loop, one would wait for the other.
                clients = [asyncio.create_task(come_and_go()) for _ in range(10)]
                await asyncio.sleep(0.1)  # they are connected; their states are being queried
                with suppress(TimeoutError):
                    async with asyncio.timeout(4):
                        while answers < 4:
                            await client.get(f"{project.url}/")
                            answers += 1
            finally:
                project.redis.signal(signal.SIGCONT)
        await asyncio.gather(*clients)
        expect_that(
            answers == 4,
            "GET / is answered four times within 4 s while Redis is frozen",
            f"answered {answers} times",
            usually="the state is queried on the event loop; asyncio.to_thread takes it off",
            look_at=VIEWS,
        )

    async def come_and_go() -> None:
        async with await project.open_socket(task_id):
            pass

    run_async(come_while_redis_is_frozen)


def test_page_is_told_over_one_socket(project: RunningProject, page: Page) -> None:
    """The page makes one POST and opens one WebSocket a task."""
    asked: list[str] = []
    page.goto(project.url)
    page.on(
        "request", lambda r: asked.append(r.method) if r.resource_type in ("fetch", "xhr") else None
    )
    page.on(
        "websocket",
        lambda socket: asked.append("WebSocket") if "/task_status/" in socket.url else None,
    )
    page.get_by_label("e-mail").fill("slow+0.2@example.com")
    page.get_by_role("button").click()
    expect_page(page.get_by_role("status")).to_contain_text("SUCCESS")
    expect(
        "the requests of the page",
        asked,
        ["POST", "WebSocket"],
        usually="the page still polls, or opens a second socket",
        look_at=FOLLOW,
    )
    expect_page(page.locator("#totals")).to_contain_text("1 request, 1 socket, ")


def test_page_comes_back(project: RunningProject, page: Page, troubles: list[str]) -> None:
    """When the web process ends, the page says so, comes back, and shows the result."""
    web = project.another_web()
    page.add_init_script("Math.random = () => 0.3")  # the back-off of the page, made even
    page.goto(web.url)
    page.get_by_label("e-mail").fill("slow+3@example.com")
    page.get_by_role("button").click()
    expect_page(page.get_by_role("status")).to_have_text(re.compile("PENDING|STARTED"))
    project.end(web.process)
    expect_page(page.locator("#notice")).not_to_be_empty()
    project.start_web(web.port)
    expect_page(page.get_by_role("status")).to_contain_text("SUCCESS")
    troubles.clear()  # the browser's own note of each connection that failed


@pytest.mark.depends_on("project/subscriptions/static/*.js")
@pytest.mark.parametrize("frame", ["{", "null", "", "[1]", '{"state": null}'])
def test_frame_that_is_not_readable(project: RunningProject, page: Page, frame: str) -> None:
    """A frame that holds no task status causes no error in the page."""
    page.route_web_socket(re.compile("/ws/"), lambda socket: socket.send(frame))
    page.goto(project.url)
    page.get_by_label("e-mail").fill("slow+0@example.com")
    page.get_by_role("button").click()
    expect_page(page.locator("#notice")).not_to_be_empty()
