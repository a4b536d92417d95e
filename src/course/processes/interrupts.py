"""How a command is ended: Ctrl-C, Ctrl-\\ (SIGQUIT), SIGTERM, or a closed terminal (SIGHUP)."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
REPEATED = 10.0  # seconds in which another signal is the same wish once more
Handler = Callable[[int, FrameType | None], None]


class Ended:
    """Which signal has asked us to end, if any."""

    number: int | None = None


@contextmanager
def at_the_end(handler: Handler) -> Iterator[None]:
    """Have the handler called for each of them; under nohup, a closed terminal ends nothing."""
    is_nohup = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    heard = [number for number in ENDING if not (is_nohup and number == signal.SIGHUP)]
    before = {number: signal.signal(number, handler) for number in heard}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


@contextmanager
def signals_as_flag() -> Iterator[Ended]:
    """Note the signal instead of being interrupted anywhere, and half-way."""
    ended = Ended()

    def note(number: int, frame: FrameType | None) -> None:
        ended.number = number

    with at_the_end(note):
        yield ended


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Raise KeyboardInterrupt. An impatient second signal does not interrupt the clean-up."""
    quiet_until = 0.0

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal quiet_until
        if time.monotonic() >= quiet_until:
            quiet_until = time.monotonic() + REPEATED
            raise KeyboardInterrupt

    with at_the_end(interrupt):
        yield
