"""Chapter 6: a client that does not read costs a bounded amount, and holds up no other."""

import socket
import time

import psutil
import pytest

from course.testkit import RunningProject, Web, eventually, expect, expect_that

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(180)]

PROTOCOL = "project/ws/protocol.py"
PING = bytes([0x89, 0x80 | 125, 0, 0, 0, 0]) + b"p" * 125
FLOOD = 40_000_000  # bytes


def mute_socket(project: RunningProject, web: Web, task_id: str) -> socket.socket:
    """A task's socket whose client takes next to nothing: it has a tiny receive buffer."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    client.connect(("127.0.0.1", web.port))
    handshake = f"GET /ws/task_status/{task_id} HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\n"
    handshake += f"Origin: {web.origin}\r\nCookie: {project.cookie_header['Cookie']}\r\n"
    handshake += "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    handshake += "Sec-WebSocket-Key: " + "A" * 22 + "==\r\n\r\n"
    client.sendall(handshake.encode())
    answer = client.recv(4096)
    expect_that(answer.startswith(b"HTTP/1.1 101"), "the socket opens", repr(answer))
    return client


def flood(client: socket.socket) -> int:
    """Send pings until the server takes no more for a second. Returns the bytes it took."""
    client.settimeout(1)
    sent = 0
    try:
        while sent < FLOOD:
            client.sendall(PING * 500)
            sent += len(PING) * 500
    except OSError:  # a TimeoutError is one
        pass
    return sent


def test_ping_flood_is_not_kept(project: RunningProject) -> None:
    """Pings whose answers are not read are not taken: the memory stays, other clients notice
    nothing, and the connection is given up.
    """
    web = project.start_web()
    process = psutil.Process(web.process.pid)
    task_id = project.pending_task()
    with project.follow(task_id, web) as other:
        other.next()
        before = process.memory_info().rss
        clients = [mute_socket(project, web, task_id) for _ in range(10)]
        taken = [flood(client) for client in clients]
        grown = process.memory_info().rss - before
        expect_that(max(taken) < FLOOD, "the server stops reading", taken, look_at=PROTOCOL)
        expect_that(grown < 20_000_000, "less than 20 MB more", f"{grown:,} bytes")
        with project.follow(task_id, web) as another:
            expect("the state for another client", another.next(within=2)["state"], "PENDING")
        eventually(
            lambda: len([one for one in process.net_connections("tcp") if one.raddr]),
            lambda number: number <= 3,
            "the mute clients' connections are given up",
            within=90,
            look_at=PROTOCOL,
        )
    for client in clients:
        client.close()
    project.end(web.process)


def test_flood_does_not_hold_up_the_end(project: RunningProject) -> None:
    """SIGTERM while pings' answers are unread, and half a body is sent: gone within 5 s."""
    web = project.start_web()
    client = mute_socket(project, web, project.pending_task())
    flood(client)
    half = socket.create_connection(("127.0.0.1", web.port))
    half.sendall(
        f"POST /subscriptions HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\n"
        "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{".encode()
    )
    start = time.monotonic()
    code = project.end(web.process)
    seconds = time.monotonic() - start
    expect_that(
        code is not None and seconds < 5,
        "the web process ends within 5 s of SIGTERM",
        f"exit code {code} after {seconds:.1f} s",
        look_at="Procfile",
    )
    client.close()
    half.close()
