"""The wires: proxies between the processes, which show what passes between them."""

from course.wires.event import Event
from course.wires.tap import NothingPassed, Tap

__all__ = ["Event", "NothingPassed", "Tap"]
