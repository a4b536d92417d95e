"""What passed between two processes, and a bounded log of it."""

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

KEPT_EVENTS = 10_000
KEPT_CONTENT = 32_000_000  # characters of content in the whole log
CONTENT_LIMIT = 16_384  # characters of one event's content

BROWSER = "browser"
REDIS = "Redis"
NEWSLETTER = "newsletter"

HTTP = "HTTP"
WEBSOCKET = "WebSocket"
RESP = "Redis"
TCP = "TCP"  # bytes that no decoder understands, and how connections end


@dataclass(eq=False)
class Event:
    """One request, answer, frame, command, reply or message.

    `time` is time.monotonic_ns() when the tap read its first byte. `content` and `task_id` may
    come later than the event itself: a body follows its head, and the id of a task that a request
    starts is in the answer.
    """

    id: int
    time: int
    sender: str
    receiver: str
    protocol: str
    what: str
    content: str = ""
    task_id: str | None = None
    connection: int = 0
    is_noise: bool = False
    answers: int | None = None  # the id of the event that this one answers

    def as_json(self, with_content: bool = True) -> dict[str, Any]:
        fields = {
            "id": self.id,
            "time": self.time,
            "from": self.sender,
            "to": self.receiver,
            "protocol": self.protocol,
            "what": self.what,
            "task_id": self.task_id,
            "connection": self.connection,
            "is_noise": self.is_noise,
            "answers": self.answers,
        }
        return fields | {"content": self.content} if with_content else fields


def from_json(fields: dict[str, Any]) -> Event:
    """The event that as_json() wrote."""
    renamed = {"from": "sender", "to": "receiver"}
    return Event(**{renamed.get(name, name): value for name, value in fields.items()})


def bounded(text: str) -> str:
    """The text as an event keeps it: long ones are cut, and say so."""
    if len(text) <= CONTENT_LIMIT:
        return text
    return f"{text[:CONTENT_LIMIT]}\n… {len(text) - CONTENT_LIMIT} characters more"


class EventLog:
    """The last events, in the order in which they passed; how many were dropped before them.

    One thread adds, others read. `on_change` is called, in the adding thread, for each new event
    and again for one whose content, task or text has changed.
    """

    def __init__(self, limit: int = KEPT_EVENTS, content_limit: int = KEPT_CONTENT) -> None:
        self._events: deque[Event] = deque()
        self._limit = limit
        self._content_limit = content_limit
        self._content = 0
        self._changed = threading.Condition()
        self._next_id = 1
        self.dropped = 0
        self.on_change: list[Callable[[Event], None]] = []

    def add(self, event: Event) -> Event:
        with self._changed:
            event.id, self._next_id = self._next_id, self._next_id + 1
            self._events.append(event)
            self._content += len(event.content)
            self._drop_oldest()
            self._changed.notify_all()
        self._tell(event)
        return event

    def update(self, event: Event, **fields: Any) -> None:
        with self._changed:
            before = len(event.content)
            for name, value in fields.items():
                setattr(event, name, value)
            if event.id > self.dropped:  # it is still in the log
                self._content += len(event.content) - before
                self._drop_oldest()
            self._changed.notify_all()
        self._tell(event)

    def _drop_oldest(self) -> None:
        while len(self._events) > self._limit or (
            self._content > self._content_limit and len(self._events) > 1
        ):
            self._content -= len(self._events.popleft().content)
            self.dropped += 1

    def _tell(self, event: Event) -> None:
        for listener in self.on_change:
            listener(event)

    def snapshot(self) -> list[Event]:
        with self._changed:
            return list(self._events)

    def after(self, event_id: int) -> list[Event]:
        """The events that came after the one with this id, in order."""
        with self._changed:
            start = max(0, event_id - self.dropped)
            return list(itertools.islice(self._events, start, None))

    def find(self, event_id: int) -> Event | None:
        with self._changed:
            place = event_id - self.dropped - 1
            return self._events[place] if 0 <= place < len(self._events) else None

    def wait_for(self, matches: Callable[[Event], bool], within: float) -> Event | None:
        """The first event that matches, past or still to come; None if there is none in time."""
        deadline = time.monotonic() + within
        with self._changed:
            while True:
                if found := next(filter(matches, self._events), None):
                    return found
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    return next(filter(matches, self._events), None)


def selected(
    events: Iterable[Event], task_id: str | None = None, with_noise: bool = False
) -> list[Event]:
    return [
        event
        for event in events
        if (with_noise or not event.is_noise) and (task_id is None or event.task_id == task_id)
    ]
