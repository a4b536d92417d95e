"""The wires in the terminal: a line an event, aligned."""

import threading
import time
from collections.abc import Callable
from typing import Self

from course.wires.event import Event
from course.wires.tap import Tap
from course.wires.tasks import SHOWN_OF_ID

PAUSE = 0.05  # seconds between two looks at the log
SETTLED = 60_000_000  # ns after which an event's text changes no more: its body has come
NAME_WIDTH = len("newsletter")


def line(event: Event, start: int, hidden: int = 0) -> str:
    """One event as text; the time counts from `start`, in seconds.

    `hidden` counts the housekeeping before it that is not shown.
    """
    seconds = (event.time - start) / 1e9
    task = event.task_id[:SHOWN_OF_ID] if event.task_id else ""
    return (
        f"{seconds:9.4f} s  {event.sender:>{NAME_WIDTH}} → {event.receiver:<{NAME_WIDTH}}  "
        f"{event.protocol:<9}  {task:<{SHOWN_OF_ID}}  {f'+{hidden}' if hidden else '':>4}  "
        f"{event.what}"
    )


def lines(events: list[Event], with_noise: bool = False) -> list[str]:
    """The events as text. Housekeeping is counted at the event that follows: +12."""
    if not events:
        return []
    start, hidden, found = events[0].time, 0, []
    for event in events:
        if event.is_noise and not with_noise:
            hidden += 1
            continue
        found.append(line(event, start, hidden))
        hidden = 0
    return found


class TextOutput:
    """Prints events as they pass, from a thread of its own: a slow terminal stops no traffic."""

    def __init__(self, tap: Tap, show: Callable[[str], None], with_noise: bool = False) -> None:
        self._log = tap.log
        self._show = show
        self._with_noise = with_noise
        self._last_id = 0
        self._start: int | None = None
        self._hidden = 0
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name="wires-text", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ends.set()
        self._thread.join(2)
        self._print(time.monotonic_ns() + SETTLED)

    def _run(self) -> None:
        while not self._ends.wait(PAUSE):
            self._print(time.monotonic_ns())

    def _print(self, now: int) -> None:
        for event in self._log.after(self._last_id):
            if event.time > now - SETTLED:
                return
            self._last_id = event.id
            if event.is_noise and not self._with_noise:
                self._hidden += 1
                continue
            self._start = self._start or event.time
            self._show(line(event, self._start, self._hidden))
            self._hidden = 0
