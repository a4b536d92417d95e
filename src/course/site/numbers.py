"""Puts a measured number into a sentence of the site, so that the two cannot drift.

    {{ number results apps.05.figures.delay_p50.median }}
    {{ number scale sockets.4.kib_a_socket * 1000000 / 1048576 }}

The first word after `number` is a file of docs/numbers, then comes the way through its JSON, then
what it is multiplied (*) and divided by (/), or what it divides (into), from left to right. What is
not there is an error.
"""

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from course.content.chapters import ROOT
from course.content.rounding import three_figures

NUMBERS = ROOT / "docs" / "numbers"
INLINE = re.compile(
    r"\{\{ number (?P<file>\w+) (?P<path>\S+)(?P<sums>(?: (?:[*/]|into) [\d.]+)*) \}\}"
)

CALCULATE: dict[str, Callable[[float, float], float]] = {
    "*": lambda value, operand: value * operand,
    "/": lambda value, operand: value / operand,
    "into": lambda value, operand: operand / value,
}


class NoNumber(ValueError):
    """A page names a number that was not measured."""


@cache
def results_in(file: Path, changed: float) -> Any:
    return json.loads(file.read_text())


def measured(file: str, path: str) -> float:
    """The number at this place of a result. Raises NoNumber."""
    source = NUMBERS / f"{file}.json"
    try:
        value = results_in(source, source.stat().st_mtime)
        for key in path.split("."):
            value = value[int(key)] if isinstance(value, list) else value[key]
        return float(value)
    except (OSError, LookupError, TypeError, ValueError) as error:
        raise NoNumber(f"docs/numbers/{file}.json has no number at {path}") from error


def with_numbers(line: str) -> str:
    """The line with each number in its place. Raises NoNumber."""

    def put(match: re.Match[str]) -> str:
        value = measured(match["file"], match["path"])
        parts = match["sums"].split()
        for sign, operand in zip(parts[::2], parts[1::2], strict=True):
            value = CALCULATE[sign](value, float(operand))
        return three_figures(value)

    return INLINE.sub(put, line)
