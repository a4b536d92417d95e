"""Chapter 6: a client that does not read costs a bounded amount, and holds up no other."""

import signal
import socket
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from course.processes import wait_for
from course.testkit import RunningProject, Web, eventually, expect, expect_that

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(180)]

PROTOCOL = "project/ws/protocol.py"
PING = bytes([0x89, 0x80 | 125, 0, 0, 0, 0]) + b"p" * 125
TEXT = bytes([0x81, 0x81, 0, 0, 0, 0]) + b"t"
BATCH = PING * 50
NO_END = bytes([0x01, 0x80, 0, 0, 0, 0])  # the first frame of a message that goes on
CONTINUED = bytes([0x00, 0x80, 0, 0, 0, 0])  # one more of it, and not the last one
CLOSE = bytes([0x88, 0x82, 0, 0, 0, 0]) + (1000).to_bytes(2, "big")
FLOOD = 40_000_000  # bytes

needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/net/tcp")


def mute_socket(project: RunningProject, web: Web, task_id: str) -> socket.socket:
    """A task's socket whose client takes next to nothing: it has a tiny receive buffer."""
    return open_raw(project, web, task_id, receive_buffer=1024)


def open_raw(
    project: RunningProject, web: Web, task_id: str, receive_buffer: int = 0
) -> socket.socket:
    """A task's socket after its handshake, for a client that sends what it likes."""
    client = socket.socket()
    if receive_buffer:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    client.connect(("127.0.0.1", web.port))
    handshake = f"GET /ws/task_status/{task_id} HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\n"
    handshake += f"Origin: {web.origin}\r\nCookie: {project.cookie_header['Cookie']}\r\n"
    handshake += "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    handshake += "Sec-WebSocket-Key: " + "A" * 22 + "==\r\n\r\n"
    client.sendall(handshake.encode())
    answer = client.recv(4096)
    expect_that(answer.startswith(b"HTTP/1.1 101"), "the socket opens", repr(answer))
    return client


def flood(client: socket.socket, frames: bytes = PING * 500) -> int:
    """Send frames until the server takes no more for a second. Returns the bytes it took."""
    client.settimeout(1)
    sent = 0
    try:
        while sent < FLOOD:
            client.sendall(frames)
            sent += len(frames)
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


def unread_by(web: Web, client: socket.socket) -> int:
    """How many bytes of this client's wait in the server's kernel."""
    client_port = client.getsockname()[1]
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        if (int(local[-4:], 16), int(remote[-4:], 16)) == (web.port, client_port):
            return int(queues.partition(":")[2], 16)
    return 0


def is_read(web: Web, client: socket.socket) -> bool:
    return wait_for(lambda: unread_by(web, client) == 0, 0.5)


def nearly_full(project: RunningProject, web: Web, task_id: str) -> socket.socket:
    """A mute socket that the server still reads, but not for long: it cannot send much more."""
    with mute_socket(project, web, task_id) as other:
        batches = 0
        while is_read(web, other):
            other.sendall(BATCH)
            batches += 1
    client = mute_socket(project, web, task_id)
    for _ in range(batches - 5):
        client.sendall(BATCH)
        assert is_read(web, client)
    return client


def send_at_once(web: Web, client: socket.socket, frames: bytes) -> None:
    """The server receives all of this in one piece."""
    web.process.signal(signal.SIGSTOP)
    client.sendall(frames)
    web.process.signal(signal.SIGCONT)


@needs_proc
def test_frame_among_pings_is_not_the_way_around(project: RunningProject) -> None:
    """After a frame that is refused, pings whose answers are not read are still not taken."""
    web = project.start_web()
    client = nearly_full(project, web, project.pending_task())
    send_at_once(web, client, BATCH * 9 + TEXT)
    taken = flood(client)
    expect_that(
        taken < FLOOD // 4, "the server stops reading", f"{taken:,} bytes", look_at=PROTOCOL
    )
    client.close()
    project.end(web.process)


@needs_proc
def test_close_among_pings_does_not_hold_up_the_end(project: RunningProject) -> None:
    """A client sends its close frame, and does not read what is sent before the server's: after
    SIGTERM the others are closed with 1012, and the app is shut down.
    """
    web = project.start_web()
    task_id = project.pending_task()
    client = nearly_full(project, web, task_id)
    send_at_once(web, client, BATCH * 9 + CLOSE)
    assert is_read(web, client)
    with project.follow(task_id, web) as other:
        other.next()
        web.process.terminate()
        expect("the close code of another client", other.close_code(), 1012, look_at=PROTOCOL)
    code = web.process.wait(15)
    client.close()
    output = "\n".join(web.process.lines)
    expect_that(code is not None, "the end of the web process", "one that runs on")
    expect_that(
        "Application shutdown complete" in output, "an app that is shut down", output[-800:]
    )


def test_message_without_an_end_is_refused(project: RunningProject) -> None:
    """The first frame of a message is refused like a whole one, however the message goes on."""
    client = open_raw(project, project.web, project.pending_task())
    client.settimeout(5)
    with suppress(OSError):  # the server may have closed before all was sent
        client.sendall(NO_END + CONTINUED * 1000)
    received = b""
    with suppress(OSError):  # a TimeoutError is one
        while b"\x88\x02\x03\xf0" not in received and (data := client.recv(4096)):
            received += data
    client.close()
    expect_that(
        b"\x88\x02\x03\xf0" in received,
        "a close frame with 1008",
        f"{received[-80:]!r}",
        look_at=PROTOCOL,
    )


def test_close_that_is_not_answered_does_not_last(project: RunningProject) -> None:
    """A client that ignores the server's close frame is disconnected within 5 seconds."""
    client = open_raw(project, project.web, str(uuid.uuid4()))  # no such task: closed with 4404
    client.settimeout(5)
    try:
        while client.recv(4096):
            pass
        is_over = True
    except ConnectionError:
        is_over = True
    except TimeoutError:
        is_over = False
    client.close()
    expect_that(is_over, "the end of the connection", "a connection that is open after 5 s")
