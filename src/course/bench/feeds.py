"""Connections on which a server sends the statuses of one task: WebSocket, SSE, Socket.IO."""

import asyncio
import json
from typing import Any, Protocol

from course.bench.websocket import Socket
from course.bench.wire import (
    BROWSER,
    FETCH,
    LIMIT,
    Stream,
    Traffic,
    WireProblem,
    cookie_header,
)
from course.processes import HOST

DONE = 1000  # close code


class Feed(Protocol):
    """What a client opens to follow a task."""

    close_code: int | None

    def __init__(self, port: int, task_id: str, traffic: Traffic, cookie: str = "") -> None: ...

    async def open(self) -> None:
        """Raises WireProblem if the server refuses."""

    async def status(self) -> dict[str, Any] | None:
        """Wait for the next status; None once the connection is closed: see close_code."""

    async def close(self) -> None: ...

    def abort(self) -> None: ...


class WebSocketFeed(Socket):
    """A chapter's own: each text frame is a status, or a heartbeat."""

    def __init__(self, port: int, task_id: str, traffic: Traffic, cookie: str = "") -> None:
        super().__init__(port, f"/ws/task_status/{task_id}", traffic, cookie)

    async def status(self) -> dict[str, Any] | None:
        while (text := await self.receive()) is not None:
            frame: dict[str, Any] = json.loads(text)
            if "state" in frame:
                return frame
        return None


class SseFeed:
    """Server-sent events over HTTP/1.1: a response in chunks, each event a `data:` line."""

    def __init__(self, port: int, task_id: str, traffic: Traffic, cookie: str = "") -> None:
        self._stream = Stream(port, traffic)
        self.path = f"/events/{task_id}"
        self.traffic = traffic
        self.cookie = cookie
        self.close_code: int | None = None

    async def open(self) -> None:
        address = f"{HOST}:{self._stream.port}"
        self.traffic.requests += 1
        self.traffic.note("handshake", self.path)
        head = (
            f"GET {self.path} HTTP/1.1\r\nHost: {address}\r\n{BROWSER}"
            f"{FETCH.replace('*/*', 'text/event-stream')}Cache-Control: no-cache\r\n"
            f"Referer: http://{address}/\r\n{cookie_header(self.cookie)}\r\n"
        )
        status, headers = await self._stream.open(head, f"GET {self.path}")
        if status != 200 or headers.get("transfer-encoding") != "chunked":
            self._stream.close()
            raise WireProblem(f"GET {self.path}: the answer is {status} {headers}")
        self.traffic.note("open", "200")

    async def status(self) -> dict[str, Any] | None:
        try:
            # Our server sends each event as one chunk; a proxy might cut them elsewhere.
            while size := int(await self._stream.read_line(), 16):
                event = (await self._stream.read(size + 2)).decode().strip()
                if event.startswith("data: "):
                    self.traffic.frames += 1
                    self.traffic.note("frame", event)
                    found: dict[str, Any] = json.loads(event.removeprefix("data: "))
                    return found
            self.close_code = DONE
        except (OSError, EOFError):
            self.close_code = 1006
        self.traffic.note("close", str(self.close_code))
        self._stream.close()
        return None

    async def close(self) -> None:
        self.traffic.note("close", "")
        self.abort()

    def abort(self) -> None:
        self._stream.close()


class SocketIoFeed(Socket):
    """Socket.IO 5 over Engine.IO 4, directly by WebSocket, as `transports: ["websocket"]` does.

    https://socket.io/docs/v4/socket-io-protocol/ and engine-io-protocol/: the first digit is
    Engine.IO's kind of packet (0 open, 2 ping, 3 pong, 4 message), a message's second one is
    Socket.IO's (0 connect, 2 event).
    """

    def __init__(self, port: int, task_id: str, traffic: Traffic, cookie: str = "") -> None:
        super().__init__(port, "/socket.io/?EIO=4&transport=websocket", traffic, cookie)
        self.task_id = task_id

    async def open(self) -> None:
        await super().open()
        try:
            async with asyncio.timeout(LIMIT):
                await self._expect("0")
                self.send("40")
                await self._expect("40")
        except TimeoutError as error:
            raise WireProblem("Socket.IO: the server does not connect us in time") from error
        self.send(f'42["follow","{self.task_id}"]')

    async def _expect(self, kind: str) -> None:
        text = await self.receive()
        if text is None or not text.startswith(kind):
            raise WireProblem(f"Socket.IO: a packet {kind} was expected, and {text!r} received")

    async def status(self) -> dict[str, Any] | None:
        while (text := await self.receive()) is not None:
            if text == "2":
                self.send("3")
            elif text.startswith('42["status",'):
                found: dict[str, Any] = json.loads(text[2:])[1]
                return found
        return None


def feed_of(app: str) -> type[Feed]:
    """How a client follows a task on this app: a chapter's number from 03, or a peer's key."""
    feeds: dict[str, type[Feed]] = {"sse": SseFeed, "socketio": SocketIoFeed}
    return feeds.get(app, WebSocketFeed)
