"""A WebSocket client on bare asyncio streams, light, and counting what it receives."""

import asyncio
import base64
import os
from contextlib import suppress

from course.bench.wire import BROWSER, Stream, Traffic, WireProblem, cookie_header
from course.processes import HOST

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10  # opcodes, RFC 6455 section 5.2


class Socket:
    """A WebSocket client, RFC 6455, for a server that sends short text frames."""

    def __init__(self, port: int, path: str, traffic: Traffic, cookie: str = "") -> None:
        self._stream = Stream(port, traffic)
        self.path = path
        self.cookie = cookie
        self.traffic = traffic
        self.close_code: int | None = None  # 1006 when the connection was lost, as in a browser

    async def open(self) -> None:
        """Connect and shake hands. Raises WireProblem if the server refuses."""
        port = self._stream.port
        self.traffic.requests += 1
        self.traffic.note("handshake", self.path)
        key = base64.b64encode(os.urandom(16)).decode()
        head = (
            f"GET {self.path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nConnection: Upgrade\r\n"
            f"Upgrade: websocket\r\nOrigin: http://{HOST}:{port}\r\n{BROWSER}"
            f"{cookie_header(self.cookie)}"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
        )
        status, headers = await self._stream.open(head, f"WebSocket {self.path}")
        if status != 101 or "sec-websocket-extensions" in headers:
            self._stream.close()
            raise WireProblem(f"WebSocket {self.path}: the handshake got {status} {headers}")
        self.traffic.note("open", "101")

    async def receive(self) -> str | None:
        """Wait for a text frame and return it; None once the socket is closed: see close_code."""
        try:
            while True:
                opcode, data = await self._frame()
                if opcode == TEXT:
                    self.traffic.frames += 1
                    self.traffic.note("frame", data.decode())
                    return data.decode()
                if opcode == PING:
                    self._send(PONG, data)
                if opcode == CLOSE:
                    self.close_code = int.from_bytes(data[:2], "big") or 1005
                    self._send(CLOSE, data[:2])
                    break
        except (OSError, EOFError):
            self.close_code = 1006
        self.traffic.note("close", str(self.close_code))
        self._stream.close()
        return None

    async def _frame(self) -> tuple[int, bytes]:
        first, length = await self._stream.read(2)
        if length == 126:
            length = int.from_bytes(await self._stream.read(2), "big")
        return first & 0x0F, await self._stream.read(length)

    def send(self, text: str) -> None:
        """Send a text frame of at most 125 bytes."""
        self._send(TEXT, text.encode())

    def _send(self, opcode: int, data: bytes) -> None:
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))
        self._stream.send(bytes([0x80 | opcode, 0x80 | len(data)]) + mask + masked)

    async def close(self) -> None:
        """Say 1000, as the page does when it knows the end, and wait 2 s at most for the answer."""
        with suppress(TimeoutError):
            async with asyncio.timeout(2):
                if self.close_code is None and self._stream.is_open:
                    self._send(CLOSE, (1000).to_bytes(2, "big"))
                    while self.close_code is None:
                        await self.receive()
        self.abort()

    def abort(self) -> None:
        self._stream.close()
