"""What the decoders share: where an event goes, and bytes that nothing else understands."""

from collections.abc import Callable
from typing import Any, Protocol

from course.wires.event import TCP, Event, EventLog, bounded
from course.wires.tasks import KnownTasks

SHOWN_BYTES = 512

REQUESTS, ANSWERS = 0, 1  # the two directions: from the side that connected, and to it


class Decoder(Protocol):
    """Reads a copy of what passed. Any exception means: not understood."""

    def feed(self, direction: int, data: bytes, time: int) -> None: ...

    def end(self, direction: int, time: int) -> None: ...


class Scribe:
    """Writes one connection's events into the log."""

    def __init__(
        self, log: EventLog, tasks: KnownTasks, client: str, server: str, connection: int
    ) -> None:
        self.log = log
        self.tasks = tasks
        self.ends = (client, server)
        self.connection = connection

    def add(self, direction: int, time: int, protocol: str, what: str, **more: Any) -> Event:
        sender, receiver = self.ends if direction == REQUESTS else self.ends[::-1]
        return self.log.add(
            Event(0, time, sender, receiver, protocol, what, connection=self.connection, **more)
        )


class Bytes:
    """The decoder for what no other one understands."""

    def __init__(self, scribe: Scribe) -> None:
        self._scribe = scribe

    def feed(self, direction: int, data: bytes, time: int) -> None:
        shown = repr(data[:SHOWN_BYTES])[2:-1]
        self._scribe.add(direction, time, TCP, f"{len(data)} bytes", content=bounded(shown))

    def end(self, direction: int, time: int) -> None:
        pass


class Careful:
    """A decoder that goes over to bytes when the other one fails, and says so once."""

    def __init__(self, scribe: Scribe, make: Callable[[Scribe], Decoder]) -> None:
        self._scribe = scribe
        self._decoder: Decoder = make(scribe)

    def feed(self, direction: int, data: bytes, time: int) -> None:
        try:
            self._decoder.feed(direction, data, time)
        except Exception as error:  # whatever is wrong with the bytes, the traffic goes on
            self._give_up(direction, time, error)
            self._decoder.feed(direction, data, time)

    def end(self, direction: int, time: int) -> None:
        try:
            self._decoder.end(direction, time)
        except Exception as error:
            self._give_up(direction, time, error)

    def _give_up(self, direction: int, time: int, error: Exception) -> None:
        self._decoder = Bytes(self._scribe)
        reason = f"{type(error).__name__}: {error}"
        self._scribe.add(direction, time, TCP, "not understood", content=bounded(reason))
