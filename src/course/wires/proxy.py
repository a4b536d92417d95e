"""A TCP proxy that both sides cannot tell from a cable, and that hands out copies.

Bytes go on first and untouched; then a copy is queued for the decoder. A reset, a half-closed or a
stalled connection looks on the other side as it would without the proxy. A server that refuses
connections makes the proxy refuse them, too: while it is away, the proxy does not listen.
"""

import asyncio
import errno
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, cast

WRITE_LIMIT = 65_536  # bytes that wait for a slow reader before the other side is no more read
PROBE_PAUSE = 0.05  # seconds between two looks whether the server is back
PROBE_LIMIT = 2.0  # seconds
RESET_CHECK = 0.002  # seconds in which a reset answers what was sent to a closed side
BACKLOG = 1024

ENDED, RESET = "ended", "reset"


class Watcher(Protocol):
    """Who is shown one connection. Called in the loop's thread, after the bytes went on."""

    def passed(self, direction: int, data: bytes) -> None: ...

    def ended(self, direction: int, how: str) -> None: ...

    def closed(self) -> None: ...


def reset(transport: asyncio.Transport) -> None:
    """End a connection with a reset, as a process does that is killed with data unread."""
    with suppress(OSError):
        linger = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()


def bound(address: tuple[str, int]) -> socket.socket:
    found = socket.socket()
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.setblocking(False)
        found.bind(address)
    except OSError:
        found.close()
        raise
    return found


class Side(asyncio.Protocol):
    """One of the two ends of a link. `direction` is that of what it receives."""

    transport: asyncio.Transport
    other: "Side"

    def __init__(self, link: "Link", direction: int) -> None:
        self.link = link
        self.direction = direction
        self.has_ended = False  # it will send no more

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(WRITE_LIMIT)

    def data_received(self, data: bytes) -> None:
        other = self.other
        other.transport.write(data)
        if other.has_ended:
            asyncio.get_running_loop().call_later(RESET_CHECK, other.look_for_reset)
        self.link.watcher.passed(self.direction, data)

    def look_for_reset(self) -> None:
        """Nothing is read from a side that has ended: so its reset would go unnoticed."""
        if self.transport.is_closing():
            return
        handle = self.transport.get_extra_info("socket")
        if handle.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.link.reset(self)

    def eof_received(self) -> bool:
        self.has_ended = True
        self.link.watcher.ended(self.direction, ENDED)
        if self.other.has_ended:
            self.transport.close()
            self.other.transport.close()
        else:
            with suppress(OSError):  # it is gone, and connection_lost() is on its way
                self.other.transport.write_eof()
        if self.direction == 1:
            self.link.proxy.look_soon()
        return True

    def pause_writing(self) -> None:
        self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if not self.other.has_ended:
            self.other.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        if error is not None:
            self.link.reset(self)
        self.link.side_is_gone()


class Link:
    """One connection through the proxy."""

    def __init__(self, proxy: "Proxy", watcher: Watcher) -> None:
        self.proxy = proxy
        self.watcher = watcher
        self.client = Side(self, 0)
        self.server = Side(self, 1)
        self.client.other, self.server.other = self.server, self.client
        self._sides_left = 2
        self._is_reset = False

    def reset(self, side: Side) -> None:
        """One side was reset: reset the other."""
        if self._is_reset:
            return
        self._is_reset = True
        self.watcher.ended(side.direction, RESET)
        reset(side.transport)
        reset(side.other.transport)
        if side is self.server:
            self.proxy.look_soon()

    def side_is_gone(self) -> None:
        self._sides_left -= 1
        if not self._sides_left:
            self.watcher.closed()
            self.proxy.links.discard(self)

    def abort(self) -> None:
        self._is_reset = True
        for side in (self.client, self.server):
            reset(side.transport)


class Proxy:
    """Listens on `port` for `target`. Make it in any thread; start and stop it in the loop's."""

    def __init__(
        self,
        target: tuple[str, int],
        new_watcher: Callable[[], Watcher],
        port: int = 0,
        host: str = "127.0.0.1",
    ) -> None:
        self.target = target
        self.links: set[Link] = set()
        self.is_listening = False  # and so, as far as is known: is the server there?
        self._new_watcher = new_watcher
        with bound((host, port)) as chosen:
            self._address: tuple[str, int] = chosen.getsockname()
            # Bound by its number: else Linux gives the port away when listening stops.
            self._socket = bound(self._address)
        self._is_open = True
        self._look: asyncio.Task[None] | None = None
        self._opening: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        return self._address[1]

    def start(self) -> None:
        self.look_soon()

    def stop(self) -> None:
        self._is_open = False
        if self._look:
            self._look.cancel()
        for task in self._opening:
            task.cancel()
        self._listen(False)
        self._socket.close()
        for link in list(self.links):
            link.abort()

    def look_soon(self) -> None:
        """See whether the server is there, until it is."""
        if self._is_open and (not self._look or self._look.done()):
            self._look = asyncio.create_task(self._look_for_server())

    async def _look_for_server(self) -> None:
        while True:
            is_there = await self._server_answers()
            self._listen(is_there)
            if is_there:
                return
            await asyncio.sleep(PROBE_PAUSE)

    async def _server_answers(self) -> bool:
        try:
            async with asyncio.timeout(PROBE_LIMIT):
                _, writer = await asyncio.open_connection(*self.target)
        except ConnectionRefusedError:
            return False
        except OSError:  # it does not answer: what a connection of our client's would see, too
            return self.is_listening
        writer.close()
        return True

    def _listen(self, is_there: bool) -> None:
        if is_there == self.is_listening:
            return
        self.is_listening = is_there
        loop = asyncio.get_running_loop()
        if is_there:
            self._socket.listen(BACKLOG)
            loop.add_reader(self._socket, self._accept)
            return
        loop.remove_reader(self._socket)
        try:
            self._socket.shutdown(socket.SHUT_RD)  # on Linux: bound, and no more listening
        except OSError:
            self._socket.close()
            self._socket = bound(self._address)

    def _accept(self) -> None:
        for _ in range(BACKLOG):
            try:
                client, _ = self._socket.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE):
                    return
                loop = asyncio.get_running_loop()  # out of file descriptors: try again soon
                loop.remove_reader(self._socket)
                loop.call_later(PROBE_PAUSE, self._accept_again)
                return
            client.setblocking(False)
            # Small pieces go on at once, not when the last one was acknowledged.
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = asyncio.create_task(self._open_link(client))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    def _accept_again(self) -> None:
        if self.is_listening and self._is_open:
            asyncio.get_running_loop().add_reader(self._socket, self._accept)

    async def _open_link(self, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        link = Link(self, self._new_watcher())
        try:
            await loop.create_connection(lambda: link.server, *self.target)
            # Not in connection_made(): after that, asyncio of Python 3.11.2 begins to read.
            link.server.transport.pause_reading()
        except OSError:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            link.watcher.closed()
            self.look_soon()
            return
        except asyncio.CancelledError:
            client.close()
            raise
        self.links.add(link)
        # First the server's side reads, then the client's: each finds the other one there.
        await loop.connect_accepted_socket(lambda: link.client, client)
        if not link.server.transport.is_closing():
            link.server.transport.resume_reading()
