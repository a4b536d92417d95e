"""A WebSocket client that follows one task, and what its server can do wrong."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from course.testkit.expect import NotAsExpected

FINAL = {"SUCCESS", "FAILURE", "REVOKED"}
WS_VIEWS = "project/ws/views.py"

TaskStatus = dict[str, Any]
T = TypeVar("T")


def run_async(function: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run the async function in a thread with a loop of its own.

    A browser test leaves a loop running in the main thread: asyncio.run() cannot be used there.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(asyncio.run(function()))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


A_STATUS = "a frame that holds a task status as JSON"


class SocketClosed(NotAsExpected):
    """The socket was closed where a frame was expected."""


class NoFrame(NotAsExpected):
    """No frame came in time."""


class Follower:
    """A WebSocket client that follows one task, as the page does."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.received: list[TaskStatus] = []

    def next(self, within: float = 10, *, usually: str = "", look_at: str = WS_VIEWS) -> TaskStatus:
        """Receive one task status, within so many seconds. A server's heartbeat is none."""
        __tracebackhide__ = True
        deadline = time.monotonic() + within
        while True:
            status = self._receive(max(0, deadline - time.monotonic()), within, usually, look_at)
            if "heartbeat" not in status:
                self.received.append(status)
                return status

    def next_if_any(self, within: float) -> TaskStatus | None:
        """The same, or None if no frame comes in so many seconds."""
        __tracebackhide__ = True
        try:
            return self.next(within)
        except NoFrame:
            return None

    def _receive(self, seconds: float, within: float, usually: str, look_at: str) -> TaskStatus:
        __tracebackhide__ = True
        try:
            text = self.connection.recv(timeout=seconds)
        except TimeoutError:
            seen = f"nothing; before that {self.so_far}"
            raise NoFrame(f"a frame within {within:.3g} s", seen, usually, look_at) from None
        except ConnectionClosed as closed:
            raise SocketClosed(
                "a frame with a task status",
                f"the socket was closed with {closed_with(closed)}, after {self.so_far}",
                "the view returned or raised before it sent; its log has the reason",
                WS_VIEWS,
            ) from None
        if isinstance(text, bytes):
            raise NotAsExpected(
                "a text frame",
                f"a binary frame, after {self.so_far}",
                "the view sends bytes: send_text() sends text, which the page reads as JSON",
                WS_VIEWS,
            )
        try:
            status = json.loads(text)
        except ValueError:
            usually = "the message was sent as Python prints it, not with json.dumps"
            raise NotAsExpected(A_STATUS, repr(text), usually, WS_VIEWS) from None
        if isinstance(status, str):
            usually = (
                "what is JSON text already was made JSON once more: send_text() sends "
                'model_dump_json(), send_json() sends model_dump(mode="json")'
            )
            raise NotAsExpected(A_STATUS, f"a string: {text}", usually, WS_VIEWS)
        if not isinstance(status, dict):
            raise NotAsExpected(A_STATUS, text, "the frame is no JSON object", WS_VIEWS)
        return status

    @property
    def states(self) -> list[str]:
        return [str(status.get("state")) for status in self.received]

    @property
    def so_far(self) -> str:
        return ", ".join(self.states) or "no frame"

    def until_final(
        self, within: float = 10, *, usually: str = "", look_at: str = WS_VIEWS
    ) -> TaskStatus:
        """Receive until the task is done, and return its last status."""
        __tracebackhide__ = True
        while True:
            status = self.next(within, usually=usually, look_at=look_at)
            if status.get("state") in FINAL:
                return status

    def close_code(
        self,
        within: float = 5,
        usually: str = "the view goes on waiting after it has sent the final state",
    ) -> int | None:
        """Wait for the server to close, and return its close code. Reads what is left."""
        __tracebackhide__ = True
        try:
            while True:
                self.received.append(json.loads(self.connection.recv(timeout=within)))
        except ConnectionClosed as closed:
            return closed_with(closed)
        except TimeoutError:
            raise NotAsExpected(
                f"the server closes the socket within {within:g} s",
                f"it is still open, after {self.so_far}",
                usually,
                WS_VIEWS,
            ) from None


def closed_with(closed: ConnectionClosed) -> int | None:
    return closed.rcvd.code if closed.rcvd else 1006


def handshake_refused(refused: InvalidStatus) -> NotAsExpected:
    return NotAsExpected(
        "the WebSocket handshake is accepted",
        f"HTTP {refused.response.status_code}",
        "there is no WebSocket at that path (the server answers 403 to that, too), "
        "or the Origin check refuses the page's own origin",
        WS_VIEWS,
    )
