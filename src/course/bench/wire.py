"""An HTTP/1.1 client on bare asyncio streams, light, and counting what it sends.

It and the WebSocket client send the headers that Chromium sends for fetch() and for a WebSocket,
so that the bytes counted are those of a page. Bytes are TCP payload, both ways; TCP's and IP's own
are not counted.
"""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

from course.processes import HOST

BROWSER = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/140.0.0.0 Safari/537.36\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\n"
)
FETCH = (
    "Accept: */*\r\nConnection: keep-alive\r\nSec-Fetch-Site: same-origin\r\n"
    "Sec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n"
)
LIMIT = 30.0  # seconds for an answer, or for a handshake; a long poll's own wait is below it

OnEvent = Callable[[str, str], None]


class WireProblem(Exception):
    """The server did not answer, or not as a web server does. The message says how."""


@dataclass
class Traffic:
    """What a number of clients have sent and received. `on_event` hears of each as it happens."""

    requests: int = 0  # WebSocket handshakes among them
    frames: int = 0  # that carry data; not ping, pong and close
    connections: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    on_event: OnEvent | None = None

    def note(self, kind: str, text: str = "") -> None:
        if self.on_event:
            self.on_event(kind, text)


class Stream:
    """A TCP connection to a port of this machine, which counts the bytes both ways."""

    def __init__(self, port: int, traffic: Traffic) -> None:
        self.port = port
        self.traffic = traffic
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def connect(self) -> None:
        self.reader, self.writer = await asyncio.open_connection(HOST, self.port)
        self.traffic.connections += 1

    @property
    def is_open(self) -> bool:
        return self.reader is not None and not self.reader.at_eof()

    def send(self, data: bytes) -> None:
        assert self.writer
        self.traffic.bytes_sent += len(data)
        self.writer.write(data)

    async def read(self, count: int) -> bytes:
        assert self.reader
        data = await self.reader.readexactly(count)
        self.traffic.bytes_received += count
        return data

    async def read_line(self) -> bytes:
        assert self.reader
        line = await self.reader.readuntil(b"\n")
        self.traffic.bytes_received += len(line)
        return line

    async def open(self, head: str, what: str) -> tuple[int, dict[str, str]]:
        """Connect, send a request's head, and read the answer's. Raises WireProblem, and closes."""
        try:
            async with asyncio.timeout(LIMIT):
                await self.connect()
                self.send(head.encode())
                return await self.read_head()
        except (TimeoutError, OSError, EOFError) as error:
            self.close()
            raise WireProblem(f"{what}: {error!r}") from error

    async def read_head(self) -> tuple[int, dict[str, str]]:
        """Read a status line and headers. Raises WireProblem if they are none."""
        assert self.reader
        head = await self.reader.readuntil(b"\r\n\r\n")
        self.traffic.bytes_received += len(head)
        first, *lines = head.decode("latin-1").split("\r\n")
        try:
            status = int(first.split()[1])
        except (IndexError, ValueError):
            raise WireProblem(f"no status line: {first[:80]!r}") from None
        pairs = (line.partition(":") for line in lines if line)
        return status, {name.lower(): value.strip() for name, _, value in pairs}

    def close(self) -> None:
        if self.writer:
            with suppress(OSError, RuntimeError):
                self.writer.close()


def cookie_header(cookie: str) -> str:
    return f"Cookie: {cookie}\r\n" if cookie else ""


class Http:
    """One browser's HTTP: a connection that is kept, and made anew when the server closed it."""

    def __init__(self, port: int, traffic: Traffic) -> None:
        self._stream = Stream(port, traffic)
        self.port = port
        self.traffic = traffic
        self.cookie = ""  # the last one set: NAME=VALUE

    async def request(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Return the status and the answer's JSON. Raises WireProblem."""
        self.traffic.requests += 1
        self.traffic.note("request", f"{method} {path}")
        data = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: {HOST}:{self.port}\r\n{BROWSER}{FETCH}"
        head += f"Referer: http://{HOST}:{self.port}/\r\n{cookie_header(self.cookie)}"
        if body is not None:
            head += f"Origin: http://{HOST}:{self.port}\r\nContent-Type: application/json\r\n"
            head += f"Content-Length: {len(data)}\r\n"
        try:
            async with asyncio.timeout(LIMIT):
                status, content = await self._exchange(f"{head}\r\n".encode() + data)
            answer = json.loads(content) if content else None
        except (TimeoutError, OSError, EOFError, ValueError) as error:
            self._stream.close()
            self._stream = Stream(self.port, self.traffic)
            raise WireProblem(f"{method} {path}: {error!r}") from error
        self.traffic.note("answer", str(status))
        return status, answer

    async def _exchange(self, request: bytes) -> tuple[int, bytes]:
        was_kept = self._stream.is_open
        if not was_kept:
            self._stream.close()
            await self._stream.connect()
        self._stream.send(request)
        try:
            status, headers = await self._stream.read_head()
        except (asyncio.IncompleteReadError, ConnectionError):
            if not was_kept:
                raise
            # The server closed the kept connection just then: a browser, too, asks once more.
            self._stream.close()
            await self._stream.connect()
            self._stream.send(request)
            status, headers = await self._stream.read_head()
        if cookie := headers.get("set-cookie"):
            self.cookie = cookie.partition(";")[0]
        return status, await self._stream.read(int(headers.get("content-length", 0)))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        self._stream.close()
