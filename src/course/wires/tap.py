"""The tap: one proxy for each pair of processes, in a thread of its own.

Who speaks is known by construction: each process is started with addresses of its own proxies.

    with Tap(redis.url, newsletter_url) as tap:
        environment = {"REDIS_URL": tap.redis_url_for("worker"), ...}
        ...
        tap.wait_for(lambda event: event.what.startswith("PUBLISH"), within=5)
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

from course.processes import HOST
from course.wires.decoder import REQUESTS, Careful, Decoder, Scribe
from course.wires.event import (
    BROWSER,
    HTTP,
    KEPT_EVENTS,
    NEWSLETTER,
    REDIS,
    RESP,
    TCP,
    Event,
    EventLog,
    selected,
)
from course.wires.http import HttpDecoder
from course.wires.proxy import ENDED, Proxy
from course.wires.redis import RedisDecoder
from course.wires.states import States
from course.wires.tasks import KnownTasks

DECODE_PAUSE = 0.02  # seconds: what is under way goes on before anything is decoded
DECODE_SLICE = 0.0003  # seconds of decoding, before the traffic has its turn again
LARGEST_QUEUE = 4_000_000  # bytes that wait to be decoded
STOP_LIMIT = 5.0  # seconds
REDIS_PORT = 6379


class NothingPassed(Exception):
    """An event was waited for in vain. The message says which events there were."""


class Tap:
    """Proxies for one running project, and the log of what passes through them."""

    def __init__(
        self, redis_url: str, newsletter_url: str | None = None, kept_events: int = KEPT_EVENTS
    ) -> None:
        self.log = EventLog(kept_events)
        self.states = States()
        self._redis_url = redis_url
        self._newsletter_url = newsletter_url
        self._tasks = KnownTasks()
        self._proxies: dict[tuple[str, str, int], Proxy] = {}
        self._connections = 0
        self._queue: deque[Callable[[], None]] = deque()
        self._queued_bytes = 0
        self._decoding: asyncio.TimerHandle | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="wires", daemon=True)
        self._at_stop: list[Callable[[], None]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for stop in reversed(self._at_stop):
            stop()
        self.call(self._stop)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_LIMIT)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            # What was aborted closes its sockets in the loop's next turn.
            self._loop.run_until_complete(asyncio.sleep(0))
        finally:
            self._loop.close()

    def _stop(self) -> None:
        for proxy in self._proxies.values():
            proxy.stop()
        self._decode(None)

    def call(self, function: Callable[[], Any]) -> Any:
        """Call a function in the tap's thread, and return what it returns."""

        async def inside() -> Any:
            return function()

        return asyncio.run_coroutine_threadsafe(inside(), self._loop).result(STOP_LIMIT)

    def run(self, coroutine: Any) -> Any:
        """Start a coroutine in the tap's loop. Returns its concurrent.futures.Future."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def at_stop(self, function: Callable[[], None]) -> None:
        """Call this before the proxies are ended."""
        self._at_stop.append(function)

    # Addresses.

    def redis_url_for(self, process: str) -> str:
        """The address at which `process` ("web", "worker 2") reaches Redis.

        A Redis with TLS keeps its own: what nobody can read is not worth a detour.
        """
        if urlsplit(self._redis_url).scheme != "redis":
            return self._redis_url
        return self._url_for(process, REDIS, self._redis_url, REDIS_PORT, RedisDecoder)

    def newsletter_url_for(self, process: str) -> str:
        """The address at which `process` reaches the newsletter service."""
        url = self._newsletter_url
        assert url, "the tap was made without the address of a newsletter service"
        if urlsplit(url).scheme != "http":
            return url
        return self._url_for(process, NEWSLETTER, url, 80, HttpDecoder)

    def web_port_for(self, real_port: int, process: str = "web", port: int = 0) -> int:
        """The port at which browsers reach the web process that listens on `real_port`.

        `port` asks for a certain one. Host and Origin of the browser's requests stay as they are.
        """
        proxy = self._proxy(BROWSER, process, (HOST, real_port), HttpDecoder, port)
        return proxy.port

    def _url_for(
        self,
        process: str,
        server: str,
        url: str,
        default_port: int,
        decoder: Callable[[Scribe], Decoder],
    ) -> str:
        parts = urlsplit(url)
        target = (parts.hostname or HOST, parts.port or default_port)
        proxy = self._proxy(process, server, target, decoder)
        login, at, _ = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{login}{at}{HOST}:{proxy.port}"))

    def _proxy(
        self,
        client: str,
        server: str,
        target: tuple[str, int],
        decoder: Callable[[Scribe], Decoder],
        port: int = 0,
    ) -> Proxy:
        key = (client, server, target[1])
        if key not in self._proxies:
            proxy = Proxy(target, lambda: Connection(self, client, server, decoder), port)
            self._proxies[key] = proxy
            self.states.add(client, server, proxy)
            self._loop.call_soon_threadsafe(proxy.start)
        return self._proxies[key]

    # Events.

    def events(self, task_id: str | None = None, with_noise: bool = False) -> list[Event]:
        """What has passed until now, in order, of one task or all."""
        self.decode_all()
        return selected(self.log.snapshot(), task_id, with_noise)

    def last(self, number: int = 20, with_noise: bool = False) -> list[Event]:
        return self.events(with_noise=with_noise)[-number:]

    def wait_for(self, matches: Callable[[Event], bool], within: float = 10) -> Event:
        """The first event that matches, be it past or still to come. Raises NothingPassed."""
        if found := self.log.wait_for(matches, within):
            return found
        lines = "\n".join(f"    {e.sender} -> {e.receiver}: {e.what}" for e in self.last(20))
        raise NothingPassed(f"Not seen within {within:g} s. What passed last:\n{lines or '    -'}")

    def decode_all(self) -> None:
        """Return when all that has passed until now is in the log."""
        if self._thread.is_alive():
            self.call(lambda: self._decode(None))

    # Called in the tap's thread, by the proxies.

    def next_connection(self) -> int:
        self._connections += 1
        return self._connections

    def later(self, decode: Callable[[], None], size: int) -> None:
        """Decode this soon, in its turn, when what is under way has gone on."""
        self._queue.append(decode)
        self._queued_bytes += size
        if self._queued_bytes > LARGEST_QUEUE:
            self._decode(None)
        elif not self._decoding:
            self._decoding = self._loop.call_later(DECODE_PAUSE, self._decode, DECODE_SLICE)

    def _decode(self, limit: float | None) -> None:
        if self._decoding:
            self._decoding.cancel()
            self._decoding = None
        end = None if limit is None else time.monotonic() + limit
        while self._queue:
            self._queue.popleft()()
            if end and time.monotonic() > end and self._queue:
                self._decoding = self._loop.call_soon(self._decode, limit)  # type: ignore[assignment]
                return
        self._queued_bytes = 0


class Connection:
    """One connection's copies, on their way to its decoder."""

    def __init__(
        self, tap: Tap, client: str, server: str, decoder: Callable[[Scribe], Decoder]
    ) -> None:
        self._tap = tap
        self._number = tap.next_connection()
        self._scribe = Scribe(tap.log, tap._tasks, client, server, self._number)
        self._decoder = Careful(self._scribe, decoder)
        self._protocol = HTTP if decoder is HttpDecoder else RESP

    def passed(self, direction: int, data: bytes) -> None:
        now = time.monotonic_ns()
        self._tap.later(lambda: self._decoder.feed(direction, data, now), len(data))

    def ended(self, direction: int, how: str) -> None:
        now = time.monotonic_ns()

        def note() -> None:
            self._decoder.end(direction, now)
            what = "reset" if how != ENDED else "closes" if direction == REQUESTS else "is closed"
            # Pools of connections to Redis come and go: that is no matter of a task.
            is_noise = how == ENDED or self._protocol == RESP
            self._scribe.add(direction, now, TCP, f"connection {what}", is_noise=is_noise)

        self._tap.later(note, 0)

    def closed(self) -> None:
        pass
