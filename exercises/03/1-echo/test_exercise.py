"""Chapter 3, exercise 1: a socket that sends back what it is sent."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from course.testkit import NotAsExpected, RunningProject, expect, expect_that

VIEWS = "project/ws/views.py"


@contextmanager
def echo(project: RunningProject) -> Iterator[ClientConnection]:
    __tracebackhide__ = True
    url = project.url.replace("http", "ws") + "/ws/echo"
    try:
        connection = connect(url, origin=Origin(project.web.origin), close_timeout=2)
    except InvalidStatus as refused:
        raise NotAsExpected(
            "the handshake at /ws/echo is accepted",
            f"HTTP {refused.response.status_code}",
            "there is no WebSocket at that path (the server answers 403 to that, too)",
            VIEWS,
        ) from None
    with connection:
        yield connection


def answer(connection: ClientConnection) -> str | bytes:
    __tracebackhide__ = True
    try:
        return connection.recv(timeout=2)
    except TimeoutError:
        seen = "nothing"
    except ConnectionClosed as closed:
        seen = f"the socket was closed with {closed.rcvd.code if closed.rcvd else 1006}"
    raise NotAsExpected(
        "a frame within 2 s",
        seen,
        "the view receives once and returns: it takes a loop",
        VIEWS,
    )


def test_texts_come_back(project: RunningProject) -> None:
    """Each text comes back as it was, in the order in which they were sent."""
    texts = ["ping", "", "Grüße 🙂", '{"a": 1}', "x" * 500]
    with echo(project) as connection:
        for text in texts:
            connection.send(text)
        expect(
            "the frames that come back",
            [answer(connection) for _ in texts],
            texts,
            usually="the text is changed, or an empty one is taken for none",
            look_at=VIEWS,
        )


def test_binary_frame_ends_it(project: RunningProject) -> None:
    """A binary frame is answered with the close code 1003."""
    with echo(project) as connection:
        connection.send(b"\x00\x01")
        try:
            seen = f"a frame: {connection.recv(timeout=2)!r}"
        except TimeoutError:
            seen = "nothing"
        except ConnectionClosed as closed:
            seen = str(closed.rcvd.code if closed.rcvd else 1006)
        expect(
            "the close code after a binary frame",
            seen,
            "1003",
            usually="receive_text() raises KeyError on it: look at receive() instead",
            look_at=VIEWS,
        )


@pytest.mark.parametrize("origin", ["https://evil.example", None])
def test_other_sites_are_refused(project: RunningProject, origin: str | None) -> None:
    """A page of another origin cannot open it, and our own can."""
    url = project.url.replace("http", "ws") + "/ws/echo"
    with echo(project):
        pass
    try:
        with connect(url, origin=Origin(origin) if origin else None):
            seen = "it was opened"
    except InvalidStatus as refused:
        seen = f"HTTP {refused.response.status_code}"
    expect(
        f"a handshake with Origin: {origin}",
        seen,
        "HTTP 403",
        usually="dependencies belong to one route: this one needs check_origin, too",
        look_at=VIEWS,
    )


def test_view_ends_with_its_client(project: RunningProject) -> None:
    """When clients leave, politely or not, their views end, without an error in the log."""
    web = project.start_web()
    url = web.url.replace("http", "ws") + "/ws/echo"
    for is_polite in (True, False):
        connection = connect(url, origin=Origin(web.origin), close_timeout=2)
        connection.send("ping")
        expect("the answer", answer(connection), "ping", look_at=VIEWS)
        if is_polite:
            connection.close()
        else:
            connection.socket.close()
    start = time.monotonic()
    code = project.end(web.process)
    seconds = time.monotonic() - start
    expect_that(
        code is not None and seconds < 3,
        "the web process ends within 3 s of SIGTERM, after its clients have left",
        f"exit code {code} after {seconds:.1f} s",
        usually="the view goes on after websocket.disconnect",
        look_at=VIEWS,
    )
    errors = [line for line in web.process.lines if "Error" in line or "Exception" in line]
    expect(
        "errors in the log of the web process",
        errors[-1:],
        [],
        usually="receive() after websocket.disconnect raises RuntimeError: leave the loop",
        look_at=VIEWS,
    )
