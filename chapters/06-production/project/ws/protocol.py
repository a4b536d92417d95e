"""uvicorn's WebSocket protocol, with a bound on what a client that does not read can cost.

Named in the Procfile: uvicorn --ws project.ws.protocol:BoundedProtocol
"""

import asyncio
import socket
from contextlib import suppress
from typing import Any, cast

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

MOST_UNSENT = 16_384  # bytes a socket
UNSENT_SECONDS = 30  # after which the kernel gives up a client that takes nothing
CLOSE_SECONDS = 2  # in which a client has to answer a close frame


class BoundedProtocol(WebSocketsSansIOProtocol):
    """uvicorn answers each ping, however many answers wait: a client could fill the memory."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.close_timeout = CLOSE_SECONDS
        cast(asyncio.Transport, transport).set_write_buffer_limits(high=MOST_UNSENT)
        connection = transport.get_extra_info("socket")
        if connection.family != socket.AF_UNIX and hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
            connection.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNSENT_SECONDS * 1000
            )

    def pause_writing(self) -> None:
        """Read no more pings while their answers cannot be sent."""
        super().pause_writing()
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.read_paused and not self.transport.is_closing():
            self.transport.resume_reading()

    async def receive(self) -> Any:
        """uvicorn reads on once a frame has been handed over: not while it cannot send."""
        message = await super().receive()
        if not self.writable.is_set():
            self.transport.pause_reading()
        return message

    def handle_text(self, event: Any) -> None:
        """Whatever a client sends is refused: a message at its first frame, and nothing is kept."""
        self.frames = [b""]
        self.send_receive_event_to_app()

    handle_bytes = handle_text

    def handle_cont(self, event: Any) -> None:
        """The rest of a message that was refused at its first frame."""

    def shutdown(self) -> None:
        """A client that has sent its close frame gets no other: uvicorn would raise for it."""
        with suppress(InvalidState):
            super().shutdown()

    async def send(self, message: Any) -> None:
        """A connection that is closed, as the client broke the protocol, is one that has left."""
        if self.handshake_complete and self.close_sent:
            raise ClientDisconnected
        await super().send(message)
