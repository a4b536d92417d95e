"""Slow step of CI: two minutes of arbitrary requests and frames against chapter 5."""

import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress

import httpx
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage
from websockets.sync.client import connect
from websockets.typing import Origin

from course.content.chapters import find_chapter
from course.testkit import RunningProject, running

SECONDS = float(os.environ.get("FUZZ_SECONDS", "60"))  # for each of the two tests
GROWTH = 40_000_000  # bytes
pytestmark = pytest.mark.timeout(SECONDS + 120)


@pytest.fixture(scope="module")
def project() -> Iterator[RunningProject]:
    with running(find_chapter("05").folder) as project:
        yield project


def memory(project: RunningProject) -> int:
    return int(psutil.Process(project.web.process.pid).memory_info().rss)


rounds = settings(
    max_examples=200, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)


def for_a_while(one_round: Callable[[], None], project: RunningProject) -> None:
    """Run rounds of examples until the time is up; then look at the server."""
    end = time.monotonic() + SECONDS
    before = 0
    while time.monotonic() < end:
        one_round()
        before = before or memory(project)
    assert httpx.get(project.url, timeout=5).status_code == 200
    assert memory(project) - before < GROWTH
    errors = [line for line in project.web.process.lines if "Traceback" in line]
    assert errors == []


def test_arbitrary_requests(project: RunningProject) -> None:
    """Whatever bytes come as an HTTP request, none ends in a server error."""
    methods = st.sampled_from(["GET", "POST", "PUT", "HEAD", "OPTIONS", "TRACE", "Ä", ""])
    paths = st.one_of(
        st.sampled_from(["/", "/subscriptions", "/task_status/", "/ws/task_status/", "/static/"]),
        st.text(max_size=40),
    )
    lines = st.lists(st.tuples(st.text(max_size=20), st.text(max_size=40)), max_size=5)

    @rounds
    @given(methods, paths, st.text(max_size=20), lines, st.binary(max_size=300))
    def one(method: str, path: str, rest: str, headers: list[tuple[str, str]], body: bytes) -> None:
        text = f"{method} {path}{rest} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        text += "".join(f"{name}: {value}\r\n" for name, value in headers)
        text += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        request = (text + "Connection: close\r\n\r\n").encode() + body
        with socket.create_connection(("127.0.0.1", project.web.port), timeout=5) as client:
            with suppress(ConnectionError):
                client.sendall(request)
                client.shutdown(socket.SHUT_WR)
                answer = client.recv(100)
                assert b" 500 " not in answer[:20], (request, answer)

    for_a_while(one, project)


def test_arbitrary_frames(project: RunningProject) -> None:
    """Whatever a client sends over its WebSocket, it is closed, and nothing stays subscribed."""
    before = project.channels()
    frames = st.one_of(st.text(max_size=2000), st.binary(max_size=2000))

    @rounds
    @given(st.lists(frames, max_size=5), st.binary(max_size=50), st.booleans())
    def one(sent: list[str | bytes], raw: bytes, aborts: bool) -> None:
        url = project.web.task_socket(str(uuid.uuid4()))
        with suppress(ConnectionClosed, InvalidHandshake, InvalidMessage, OSError):
            with connect(url, origin=Origin(project.web.origin), close_timeout=1) as client:
                client.recv(timeout=5)
                for frame in sent:
                    client.send(frame)
                client.socket.sendall(raw)
                if aborts:
                    client.socket.close()

    for_a_while(one, project)
    end = time.monotonic() + 5
    while project.channels() - before and time.monotonic() < end:
        time.sleep(0.1)
    assert project.channels() - before == set()
