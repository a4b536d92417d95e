"""The tap: that nobody notices it, and that its decoders read what passes."""

import base64
import hashlib
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import redis
from websockets.frames import Frame, Opcode

from course.processes import HOST, Redis, free_port, wait_for
from course.wires import Event, NothingPassed, Tap
from course.wires.decoder import ANSWERS, REQUESTS, Bytes, Careful, Scribe
from course.wires.event import EventLog
from course.wires.http import HttpDecoder
from course.wires.redis import RedisDecoder
from course.wires.resp import Failure, NotUnderstood, Push, RespReader
from course.wires.states import BLOCKED, DOWN, UP
from course.wires.tasks import KnownTasks

TASK = "6259f2a1-0000-4000-8000-00000000000a"
LIMIT = 10.0  # seconds for anything on a socket
MEGABYTE = 1_000_000


# Nobody notices the tap: each scenario is played with and without it, and seen from both ends.


class Ends:
    """The two ends of one connection, and what was seen at each."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server


def listen() -> socket.socket:
    listener = socket.socket()
    listener.bind((HOST, 0))
    listener.listen()
    listener.settimeout(LIMIT)
    return listener


def connect(port: int) -> socket.socket:
    connection = socket.socket()
    connection.settimeout(LIMIT)
    connection.connect((HOST, port))
    return connection


@contextmanager
def tapped(port: int, kind: str) -> Iterator[int]:
    """The port of a proxy in front of `port`; without a tap, that port itself."""
    if kind == "direct":
        yield port
        return
    with Tap(f"redis://{HOST}:{port}/0") as tap:
        if kind == "http":
            through = tap.web_port_for(port)
        else:
            through = int(tap.redis_url_for("worker").rpartition(":")[2].partition("/")[0])
        assert wait_for(lambda: accepts(through), LIMIT, pause=0.01)
        yield through


def accepts(port: int) -> bool:
    with suppress(OSError):
        connect(port).close()
        return True
    return False


@contextmanager
def ends(kind: str) -> Iterator[Ends]:
    with listen() as listener, tapped(listener.getsockname()[1], kind) as port:
        client = connect(port)
        client.sendall(b"hello")
        while True:  # the tap has looked whether somebody listens: not ours
            server, _ = listener.accept()
            server.settimeout(LIMIT)
            if server.recv(5) == b"hello":
                break
            server.close()
        with client, server:
            yield Ends(client, server)


def outcome(action: Callable[[], Any]) -> Any:
    """What the action returns, or the name of the error that it raises."""
    try:
        return action()
    except OSError as error:
        return type(error).__name__


def read_all(connection: socket.socket) -> bytes:
    received = bytearray()
    while data := connection.recv(65536):
        received += data
    return bytes(received)


def close_with_reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def answer_and_close(ends: Ends) -> list[Any]:
    ends.server.sendall(b"answer")
    ends.server.close()
    return [read_all(ends.client)]


def client_half_closes(ends: Ends) -> list[Any]:
    ends.client.sendall(b"question")
    ends.client.shutdown(socket.SHUT_WR)
    seen = [read_all(ends.server)]
    ends.server.sendall(b"answer")
    ends.server.close()
    return [*seen, read_all(ends.client)]


def server_half_closes(ends: Ends) -> list[Any]:
    ends.server.shutdown(socket.SHUT_WR)
    seen = [read_all(ends.client)]
    ends.client.sendall(b"still here")
    ends.client.close()
    return [*seen, read_all(ends.server)]


def client_resets(ends: Ends) -> list[Any]:
    close_with_reset(ends.client)
    return [outcome(lambda: ends.server.recv(1))]


def server_resets(ends: Ends) -> list[Any]:
    close_with_reset(ends.server)
    return [outcome(lambda: ends.client.recv(1))]


def server_closes_unread(ends: Ends) -> list[Any]:
    """A process that ends with data unread sends a reset, not an end."""
    ends.client.sendall(b"nobody will read this")
    assert ends.server.recv(1, socket.MSG_PEEK) == b"n"
    ends.server.close()
    return [outcome(lambda: ends.client.recv(1))]


def reset_after_half_close(ends: Ends) -> list[Any]:
    ends.client.shutdown(socket.SHUT_WR)
    seen = [read_all(ends.server)]
    close_with_reset(ends.server)
    return [*seen, outcome(lambda: ends.client.recv(1))]


def client_leaves_while_server_sends(ends: Ends) -> list[Any]:
    """The first thing sent to a client that is gone is answered with a reset."""
    ends.client.close()
    seen: list[Any] = [ends.server.recv(1)]
    ends.server.sendall(b"you are gone")
    is_reset = wait_for(
        lambda: bool(ends.server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)), LIMIT, pause=0.01
    )
    return [*seen, is_reset, outcome(lambda: ends.server.send(b"more"))]


def big_body(ends: Ends) -> list[Any]:
    """50 MB each way, at once: every byte arrives, in order."""
    body = os.urandom(MEGABYTE) * 50
    received: dict[str, bytes] = {}

    def read(name: str, connection: socket.socket) -> None:
        received[name] = hashlib.sha256(read_all(connection)).digest()

    def write(connection: socket.socket) -> None:
        connection.sendall(body)
        connection.shutdown(socket.SHUT_WR)

    pairs = {"server": ends.server, "client": ends.client}
    threads = [threading.Thread(target=read, args=pair) for pair in pairs.items()]
    threads += [threading.Thread(target=write, args=(end,)) for end in pairs.values()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    expected = hashlib.sha256(body).digest()
    return [received.get(name) == expected for name in pairs]


def stalled_reader(ends: Ends) -> list[Any]:
    """Who does not read makes the other wait; what was sent until then is not lost."""
    sent = 0
    ends.client.settimeout(0.5)
    with suppress(TimeoutError):
        while sent < 100 * MEGABYTE:
            sent += ends.client.send(b"x" * 65536)
    ends.client.shutdown(socket.SHUT_WR)
    return [sent < 100 * MEGABYTE, len(read_all(ends.server)) == sent]


SCENARIOS = [
    answer_and_close,
    client_half_closes,
    server_half_closes,
    client_resets,
    server_resets,
    server_closes_unread,
    reset_after_half_close,
    client_leaves_while_server_sends,
    big_body,
    stalled_reader,
]


@pytest.mark.parametrize("kind", ["http", "redis"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_tap_is_not_noticed(scenario: Callable[[Ends], list[Any]], kind: str) -> None:
    """What both ends see is the same with the tap and without it."""
    seen = {}
    for way in ("direct", kind):
        with ends(way) as both:
            seen[way] = scenario(both)
    assert seen[kind] == seen["direct"]


@pytest.mark.parametrize("kind", ["direct", "http"])
@pytest.mark.parametrize(("unread", "expected"), [(False, b""), (True, "ConnectionResetError")])
def test_killed_server_is_seen(kind: str, unread: bool, expected: object) -> None:
    """A killed process's connections end as the kernel ends them; then connections are refused."""
    port = free_port()
    script = (
        "import socket, time; s = socket.create_server(('127.0.0.1', int(__import__('sys').argv[1])"
        "))\nkept = []\nwhile True:\n    c, _ = s.accept(); c.send(b'!'); kept.append(c)"
    )
    server = subprocess.Popen([sys.executable, "-c", script, str(port)])
    try:
        with tapped(port, "direct"):
            assert wait_for(lambda: accepts(port), LIMIT)
        with tapped(port, kind) as through, connect(through) as client:
            assert client.recv(1) == b"!"
            if unread:
                client.sendall(b"x" * 1000)
                # It lies in the server's queue when nothing waits in ours.
                assert wait_for(lambda: unread_at(port) >= 1000, LIMIT, pause=0.01)
            server.kill()
            server.wait(LIMIT)
            assert outcome(lambda: client.recv(1)) == expected
            assert wait_for(
                lambda: outcome(lambda: connect(through).close()) == "ConnectionRefusedError", LIMIT
            )
    finally:
        server.kill()
        server.wait(LIMIT)


def unread_at(port: int) -> int:
    from course.wires.states import unread_bytes

    return sum(size for (local, _), size in unread_bytes().items() if local == port)


def test_server_that_is_not_there_refuses() -> None:
    """Before the server listens, and after it has ended, a connection is refused."""
    port = free_port()
    with Tap("redis://127.0.0.1:1/0") as tap:
        through = tap.web_port_for(port)
        assert outcome(lambda: connect(through)) == "ConnectionRefusedError"
        with socket.create_server((HOST, port)):
            assert wait_for(lambda: accepts(through), LIMIT, pause=0.01)
            assert tap.call(tap.states.look)["web"] == UP
        # The first connection afterwards shows that it is gone; from then on all are refused.
        assert wait_for(
            lambda: outcome(lambda: connect(through).recv(1)) == "ConnectionRefusedError", LIMIT
        )
        assert tap.call(tap.states.look)["web"] == DOWN
        with socket.create_server((HOST, port)):
            assert wait_for(lambda: accepts(through), LIMIT, pause=0.01)


def test_stalled_connection_keeps_little_in_memory() -> None:
    """While nobody reads, the tap holds no more than its limit and one reading."""
    with listen() as listener, Tap("redis://127.0.0.1:1/0") as tap:
        through = tap.web_port_for(listener.getsockname()[1])
        assert wait_for(lambda: accepts(through), LIMIT, pause=0.01)
        with connect(through) as client:
            client.settimeout(0.5)
            with suppress(TimeoutError):
                while True:
                    client.send(b"x" * 65536)
            (proxy,) = tap._proxies.values()
            waiting = tap.call(
                lambda: [link.server.transport.get_write_buffer_size() for link in proxy.links]
            )
    assert max(waiting) > 0
    assert max(waiting) <= 65_536 + 262_144


def test_process_that_does_not_read_is_blocked() -> None:
    """Bytes that a process leaves unread make it blocked, and up again once it has read them."""
    with listen() as listener, Tap("redis://127.0.0.1:1/0") as tap:
        through = tap.web_port_for(listener.getsockname()[1])
        assert wait_for(lambda: accepts(through), LIMIT, pause=0.01)
        with connect(through) as client:
            client.sendall(b"x" * 1000)

            def state() -> str:
                return str(tap.call(tap.states.look)["web"])

            assert wait_for(lambda: state() == BLOCKED, LIMIT, pause=0.2)
            while True:
                server, _ = listener.accept()
                server.settimeout(LIMIT)
                if server.recv(1000):
                    break
            with server:
                assert wait_for(lambda: state() == UP, LIMIT, pause=0.2)


# The decoders.


class Decoded:
    """A decoder whose events can be looked at."""

    def __init__(self, make: Callable[[Scribe], Any], client: str = "browser") -> None:
        self.log = EventLog()
        self.tasks = KnownTasks()
        self.decoder = Careful(Scribe(self.log, self.tasks, client, "server", 1), make)

    def asks(self, data: bytes) -> None:
        self.decoder.feed(REQUESTS, data, 1)

    def answers(self, data: bytes) -> None:
        self.decoder.feed(ANSWERS, data, 2)

    @property
    def events(self) -> list[Event]:
        return self.log.snapshot()

    @property
    def texts(self) -> list[str]:
        return [event.what for event in self.events]


def test_request_and_answer_belong_together() -> None:
    """An answer names its request, and brings it the id of the task that was started."""
    seen = Decoded(HttpDecoder)
    body = b'{"email": "ada@example.com"}'
    request = b"POST /subscriptions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    for part in (request[:10], request[10:] + body[:5], body[5:]):
        seen.asks(part)
    answer = b'{"task_id": "%s"}' % TASK.encode()
    seen.answers(b"HTTP/1.1 202 Accepted\r\nContent-Length: %d\r\n\r\n" % len(answer))
    seen.answers(answer)
    first, second = seen.events
    assert (first.what, second.what) == ("POST /subscriptions", "202")
    assert (first.sender, second.sender) == ("browser", "server")
    assert second.answers == first.id
    assert first.task_id == second.task_id == TASK
    assert "ada@example.com" in first.content
    assert "202 Accepted" in second.content


def test_requests_follow_each_other_on_a_connection() -> None:
    """Kept alive or pipelined, each answer finds its own request; an error is one answer."""
    seen = Decoded(HttpDecoder)
    seen.asks(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n")
    seen.answers(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    seen.answers(b"HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n")
    seen.asks(b"HEAD /c HTTP/1.1\r\nHost: x\r\n\r\n")
    seen.answers(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n")
    seen.asks(b"GET /d HTTP/1.1\r\nHost: x\r\n\r\n")
    asked = {event.id: event.what for event in seen.events}
    pairs = {asked[event.answers]: event.what for event in seen.events if event.answers}
    assert pairs == {"GET /a": "200", "GET /b": "404", "HEAD /c": "200"}
    assert seen.texts[-1] == "GET /d"


def test_large_body_is_read_past() -> None:
    """Of a body of 50 MB the first part is kept, and the next request is read."""
    seen = Decoded(HttpDecoder)
    size = 50 * MEGABYTE
    seen.asks(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
    for _ in range(50):
        seen.asks(b"x" * MEGABYTE)
    seen.answers(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
    for _ in range(50):
        seen.answers(b"x" * MEGABYTE)
    seen.asks(b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n")
    assert seen.texts == ["POST /a", "200", "GET /b"]
    assert all(len(event.content) < 20_000 for event in seen.events)
    assert "50000000 bytes" in seen.events[0].content


HANDSHAKE = (
    b"GET /ws/task_status/%s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: a\r\nSec-WebSocket-Version: 13\r\n%s\r\n"
)
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n%s\r\n"
)


def frame(opcode: Opcode, data: bytes, mask: bool = False) -> bytes:
    return Frame(opcode, data).serialize(mask=mask)


def test_frames_follow_the_handshake() -> None:
    """Frames come in the middle of a reading or in pieces; each carries its connection's task."""
    seen = Decoded(HttpDecoder)
    seen.asks(HANDSHAKE % (TASK.encode(), b""))
    first = frame(Opcode.TEXT, b'{"state": "STARTED"}')
    seen.answers(SWITCHED % b"" + first[:3])
    for byte in first[3:]:
        seen.answers(bytes([byte]))
    seen.asks(frame(Opcode.PONG, b"", mask=True))
    seen.asks(frame(Opcode.TEXT, b"not JSON", mask=True))
    seen.answers(frame(Opcode.CLOSE, struct.pack("!H", 1000)))
    assert seen.texts == [
        "GET /ws/task_status/6259… (upgrade)", "101", "frame STARTED", "pong", "frame not JSON",
        "close 1000",
    ]  # fmt: skip
    assert {event.task_id for event in seen.events} == {TASK}
    assert [event.what for event in seen.events if event.is_noise] == ["pong"]


def test_large_frame_shows_its_size() -> None:
    """Of a frame that is too large only the size is shown, and the next one is read again."""
    seen = Decoded(HttpDecoder)
    seen.asks(HANDSHAKE % (TASK.encode(), b""))
    seen.answers(SWITCHED % b"")
    for mask, feed in ((True, seen.asks), (False, seen.answers)):
        data = frame(Opcode.BINARY, b"x" * 5 * MEGABYTE, mask) + frame(Opcode.TEXT, b"next", mask)
        for start in range(0, len(data), 100_000):
            feed(data[start : start + 100_000])
    assert seen.texts[2:] == ["frame of 5000000 bytes", "frame next"] * 2


def test_compressed_frames_are_read() -> None:
    """What browser and server have agreed to compress is shown as it was."""
    from websockets.extensions.permessage_deflate import PerMessageDeflate

    agreed = b"Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=12\r\n"
    seen = Decoded(HttpDecoder)
    seen.asks(HANDSHAKE % (TASK.encode(), agreed))
    seen.answers(SWITCHED % agreed)
    server = PerMessageDeflate(False, False, 15, 12)
    for state in (b"STARTED", b"SUCCESS"):
        packed = Frame(Opcode.TEXT, b'{"state": "%s"}' % state)
        seen.answers(packed.serialize(mask=False, extensions=[server]))
    assert seen.texts[2:] == ["frame STARTED", "frame SUCCESS"]


def test_refused_handshake_is_an_answer() -> None:
    seen = Decoded(HttpDecoder)
    seen.asks(HANDSHAKE % (TASK.encode(), b""))
    seen.answers(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    assert seen.texts == ["GET /ws/task_status/6259… (upgrade)", "403"]


@pytest.mark.parametrize("make", [HttpDecoder, RedisDecoder, Bytes])
def test_what_is_not_understood_is_shown_as_bytes(make: Callable[[Scribe], Any]) -> None:
    """Random bytes, both ways, in pieces, with an end: never an exception, and something to see."""
    seen = Decoded(make)
    junk = hashlib.sha256(b"junk").digest() * 100
    for start in range(0, len(junk), 77):
        seen.asks(b"\x16\x03\r\n" + junk[start : start + 77])
        seen.answers(b"\x00\r\n" + junk[start : start + 77])
    seen.decoder.end(REQUESTS, 3)
    seen.decoder.end(ANSWERS, 3)
    assert any(text.endswith(" bytes") for text in seen.texts)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_resp_is_read_in_any_pieces(size: int) -> None:
    data = (
        b"*2\r\n$3\r\nGET\r\n$2\r\n\r\n\r\n+OK\r\n-ERR no\r\n:-5\r\n$-1\r\n_\r\n#t\r\n,1.5\r\n"
        b"%1\r\n+a\r\n*-1\r\n>2\r\n+message\r\n$0\r\n\r\n=5\r\ntxt:a\r\n(12345\r\n~1\r\n:1\r\n"
    )
    reader = RespReader()
    values = [
        value
        for start in range(0, len(data), size)
        for value in reader.feed(data[start : start + size])
    ]
    assert values == [
        [b"GET", b"\r\n"], b"OK", Failure("ERR no"), -5, None, None, True, 1.5, [b"a", None],
        [b"message", b""], b"txt:a", 12345, [1],
    ]  # fmt: skip
    assert isinstance(values[9], Push)


def test_resp_keeps_little_of_a_big_string() -> None:
    """Of a 50 MB string the first part is kept, and what follows is read."""
    reader = RespReader()
    values = reader.feed(b"$%d\r\n" % (50 * MEGABYTE))
    for _ in range(50):
        values += reader.feed(b"x" * MEGABYTE)
        assert len(reader._buffer) <= 2 * MEGABYTE
    values += reader.feed(b"\r\n:1\r\n")
    assert values[1] == 1
    assert isinstance(values[0], bytes)
    assert len(values[0]) < 70_000


@pytest.mark.parametrize(
    "data",
    [b"GET x\r\n", b"*x\r\n", b"x" * 70_000, b"*1\r\n:x\r\n"],
    ids=["inline", "no count", "no end", "no number"],
)
def test_resp_refuses_what_it_is_not(data: bytes) -> None:
    with pytest.raises(NotUnderstood):
        RespReader().feed(data)


@pytest.fixture(scope="module")
def server() -> Iterator[Redis]:
    redis_server = Redis()
    try:
        yield redis_server.start()
    finally:
        redis_server.stop()


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_conversation_is_read(server: Redis, protocol: int) -> None:
    """redis-py's own bytes and a real server's: commands, replies, and messages to subscribers."""
    with Tap(server.url) as tap:
        urls = {name: tap.redis_url_for(name) for name in ("web", "worker")}
        assert tap.redis_url_for("web") == urls["web"], "a process keeps its address"
        assert wait_for(lambda: tap.call(tap.states.look)["Redis"] == UP, LIMIT, pause=0.01)
        web, worker = (
            redis.Redis.from_url(url, protocol=protocol, decode_responses=True)
            for url in urls.values()
        )
        with web, worker, web.pubsub() as listener:  # type: ignore[no-untyped-call]
            listener.subscribe(TASK)
            tap.wait_for(lambda event: event.what == "subscribed 6259…")
            worker.set(f"celery-task-meta-{TASK}", '{"status": "SUCCESS"}')
            with worker.pipeline() as pipe:
                pipe.get(f"celery-task-meta-{TASK}")
                pipe.get("missing")
                pipe.execute()
            worker.publish(TASK, '{"state": "SUCCESS"}')
            tap.wait_for(lambda event: event.what.startswith("message"))
            listener.unsubscribe(TASK)
            with pytest.raises(redis.ResponseError):
                worker.execute_command("GET")  # type: ignore[no-untyped-call]
            tap.wait_for(lambda event: event.what.startswith("UNSUB"))
        seen = [(e.sender, e.what) for e in tap.events()]
        message = ("Redis", "message on 6259…: SUCCESS")
        assert message in seen
        seen.remove(message)  # it passes the other proxy, before or after the reply
        assert seen == [
            ("web", "SUBSCRIBE 6259…"),
            ("worker", "SET celery-task-meta-6259… SUCCESS"),
            ("worker", "GET celery-task-meta-6259…"),
            ("worker", "GET missing"),
            ("Redis", "SUCCESS"),
            ("Redis", "nil"),
            ("worker", "PUBLISH 6259… SUCCESS"),
            ("Redis", "1 subscriber"),
            ("web", "UNSUBSCRIBE 6259…"),
            ("worker", "GET"),
            ("Redis", "error: ERR wrong number of arguments fo…"),
        ]
        with_noise = {event.what for event in tap.events(with_noise=True)}
        assert {"HELLO 3", "PING", "EXEC"} & with_noise
        ids = {event.id: event for event in tap.events(with_noise=True)}
        publish = next(e for e in ids.values() if e.what == "1 subscriber").answers
        assert publish
        assert ids[publish].what.startswith("PUBLISH")


def test_address_keeps_its_login_and_database(server: Redis) -> None:
    with Tap(f"redis://user:p%40ss@{HOST}:{server.port}/3?a=1", f"http://{HOST}:1/api") as tap:
        url = tap.redis_url_for("web")
        assert url.startswith(f"redis://user:p%40ss@{HOST}:")
        assert url.endswith("/3?a=1")
        assert str(server.port) not in url
        assert tap.newsletter_url_for("worker").endswith("/api")
    with Tap(f"rediss://{HOST}:{server.port}/0") as tap:
        assert tap.redis_url_for("web") == f"rediss://{HOST}:{server.port}/0"


def test_waiting_in_vain_says_what_passed(server: Redis) -> None:
    with Tap(server.url) as tap:
        url = tap.redis_url_for("web")
        assert wait_for(lambda: tap.call(tap.states.look)["Redis"] == UP, LIMIT, pause=0.01)
        with redis.Redis.from_url(url) as client:
            client.get("a key")
        with pytest.raises(NothingPassed, match=r"(?s)0\.1 s.*web -> Redis: GET a key"):
            tap.wait_for(lambda event: event.what == "another", within=0.1)


# The log.


def event(content: str = "") -> Event:
    return Event(0, time.monotonic_ns(), "web", "Redis", "Redis", "GET", content)


def test_log_drops_the_oldest() -> None:
    """Events and their content are bounded; what was dropped is counted."""
    log = EventLog(limit=3, content_limit=10)
    for number in range(5):
        log.add(event(str(number)))
    assert [e.id for e in log.snapshot()] == [3, 4, 5]
    assert log.dropped == 2
    assert log.find(2) is None
    assert log.find(4) is log.snapshot()[1]
    log.update(log.snapshot()[2], content="x" * 9)
    assert [len(e.content) for e in log.snapshot()] == [1, 9]
    log.update(event(), content="not in the log")
    assert len(log.snapshot()) == 2


def test_log_tells_of_events_and_of_changes() -> None:
    log = EventLog()
    told: list[tuple[int, str]] = []
    log.on_change.append(lambda e: told.append((e.id, e.what)))
    first = log.add(event())
    log.update(first, what="GET x")
    assert told == [(1, "GET"), (1, "GET x")]


def test_request_of_a_worker_is_found_by_its_argument() -> None:
    """Two tasks with one address: each request is the next one's that has made none."""
    from course.wires.tasks import celery_message

    tasks = KnownTasks()
    other = TASK.replace("a", "b")
    for task_id in (TASK, other):
        body = base64.b64encode(b'[["ada@example.com"], {}, {}]').decode()
        message = celery_message(json.dumps({"headers": {"id": task_id}, "body": body}))
        assert message
        assert message.arguments == {"ada@example.com"}
        tasks.sent(message)
    body = '{"email": "ada@example.com"}'
    assert [tasks.of_request(body) for _ in range(3)] == [TASK, other, TASK]
    tasks.stored(TASK, "SUCCESS")
    assert tasks.of_request(body) == other
    assert tasks.of_request('{"email": "eve@example.com"}') is None
