"""Tracebacks in a process's log: the error, and the lines of the project's own code."""

import re
from contextlib import suppress
from pathlib import Path

FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')
ERROR = re.compile(
    r"^(?:[\w.]+\.)?[A-Z]\w*(?:Error|Exception|Interrupt|Exit|Busy|Refused)\b.*|^Error: .*"
)
MOST_LINES = 12


def place(file: str, line: str, folder: Path) -> str:
    """A line of a file as file:line; empty if the file is not the project's own."""
    path = Path(file) if Path(file).is_absolute() else folder / file
    is_own = path.is_relative_to(folder) and ".venv" not in path.parts[:-1]
    with suppress(OSError):  # a name that is too long, for example
        if is_own and path.exists():
            return f"{path.relative_to(folder)}:{line}"
    return ""


def own_line(lines: list[str], folder: Path) -> str:
    """The last line of the project's own code that a traceback in the log names, as file:line."""
    for line in reversed(lines):
        if (found := FRAME.search(line)) and (own := place(found["file"], found["line"], folder)):
            return own
    return ""


def last_error(lines: list[str]) -> str:
    return next((line.strip() for line in reversed(lines) if ERROR.match(line.strip())), "")


def traceback_in(lines: list[str], folder: Path) -> list[str]:
    """The end of the last traceback in a log, without the frames of other people's code."""
    ends = [number for number, line in enumerate(lines) if ERROR.match(line.strip())]
    kept, is_own = [], True
    for line in lines[: ends[-1] + 1] if ends else lines:
        if found := FRAME.search(line):
            is_own = (folder / found["file"]).is_relative_to(folder) and not re.search(
                "<|/lib/", line
            )
        elif not line.startswith("    "):
            is_own = True
        if is_own:
            kept.append(line)
    return kept[-MOST_LINES:]
