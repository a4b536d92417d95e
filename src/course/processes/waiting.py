"""Waiting for a condition, always with a limit."""

import time
from collections.abc import Callable


def wait_for(condition: Callable[[], bool], limit: float, pause: float = 0.05) -> bool:
    """Ask until the condition holds, for at most `limit` seconds. Returns whether it did."""
    deadline = time.monotonic() + limit
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True
