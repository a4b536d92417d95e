"""What a project itself says about a failure: read from its processes' output, most telling first.

A complaint is an exception with its traceback, a warning, a line at level ERROR, or the last words
of a process that ended by itself.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import IntEnum
from pathlib import Path

from course.processes.tracebacks import FRAME, own_line, place
from course.testkit.records import Record, Said

WARNING = re.compile(r"(?P<file>/[^:]+\.py):(?P<line>\d+): (?P<text>RuntimeWarning: .*)")
EXCEPTION = re.compile(
    r"^(?:[\w.]+\.)?[A-Z]\w*(?:Error|Exception|Interrupt|Exit|Busy|Refused|Warning|Timeout)\b.*"
    r"|^(?:[a-z_]\w*\.)+[A-Z]\w+: .*"
    r"|^Error: .*"
)
TRACEBACK = re.compile(r"^(?:Exception Group )?Traceback \(most recent call last\):")
# Where a line of a log begins: Celery's time and level, uvicorn's level.
CELERY = re.compile(r"^\[[^]]*?: (?P<level>[A-Z]+)/[\w-]+\] (?P<text>.*)")
UVICORN = re.compile(r"^(?P<level>[A-Z]+): {2,}(?P<text>.*)")
GROUP = re.compile(r"^(?: *[+|](?:-+)? ?)+(?: -+ \d+ -+)?")  # the bars of an exception group
ANSWER = re.compile(r'"(?P<request>[A-Z]+ \S+) HTTP/[\d.]+" (?P<status>[45]\d\d)')
HANDSHAKE = re.compile(r'"WebSocket (?P<path>\S+)" (?P<status>403)')
RETRY = re.compile(r"retry: Retry in \S+ (\w+\(.*)")
MENTIONS_ERROR = re.compile(
    r"\b[A-Z]\w*(?:Error|Exception)\b|never awaited|validation errors? for|Traceback"
)
MOST_LINES = 12
NOT_ITS_OWN = ("tests", "node_modules", "asyncio_basics")  # folders; the last are the lesson's


class Weight(IntEnum):
    """How telling a complaint is: the lower, the more."""

    ENDED = 1
    OWN_LINE = 2  # an exception or a warning at a line of the project's own code
    PAGE = 3
    ERROR = 4
    WARNING = 5
    ANSWER = 6
    EARLIER = 10  # is added for what was said before the test began


@dataclass(frozen=True)
class Complaint:
    source: str  # web, worker, newsletter, the page, a script
    text: str  # in one line
    weight: int
    where: str = ""  # file:line in the project
    lines: list[str] = field(default_factory=list)  # all that belongs to it, as it was printed

    @property
    def all_text(self) -> str:
        return "\n".join([self.text, *self.lines])


def gather(record: Record, folder: Path) -> list[Complaint]:
    """All that the record holds, most telling first."""
    found: list[Complaint] = []
    for said in record.processes():
        found += complaints_of(said, folder)
    if record.page:
        found += record.page.complaints(folder)
    for script in record.scripts:
        found += in_lines(script.name, script.error_lines, folder)
    found += [Complaint("web", f"answered {answer}", Weight.ANSWER) for answer in record.answers()]
    return without_repeats(sorted(found, key=lambda complaint: complaint.weight))


def complaints_of(said: Said, folder: Path) -> Iterator[Complaint]:
    process = said.process
    if process.exit_code is not None and not process.was_signalled:
        yield last_words(process.name, process.exit_code, process.lines, folder)
    yield from in_lines(process.name, said.since, folder)
    for complaint in in_lines(process.name, said.before, folder):
        yield replace(complaint, weight=complaint.weight + Weight.EARLIER)


def last_words(name: str, exit_code: int, lines: list[str], folder: Path) -> Complaint:
    """Of a process that ended by itself: its last exception, or else its last lines."""
    found = [c for c in in_lines(name, lines, folder) if c.weight < Weight.ANSWER]
    if found:
        last = min(reversed(found), key=lambda complaint: complaint.weight)
        text = f"it ended with exit code {exit_code}: {last.text}"
        return replace(last, text=text, weight=Weight.ENDED)
    spoken = [line for line in lines if line.strip()][-MOST_LINES:]
    text = f"it ended with exit code {exit_code}" + (f": {spoken[-1].strip()}" if spoken else "")
    return Complaint(name, text, Weight.ENDED, lines=spoken)


def in_lines(source: str, lines: list[str], folder: Path) -> Iterator[Complaint]:
    """The complaints in a process's output, in the order in which they were made."""
    number = 0
    while number < len(lines):
        line = lines[number]
        if "Enable tracemalloc" in line:  # Python's advice below a warning
            number += 1
            continue
        if TRACEBACK.match(GROUP.sub("", without_level(line))):
            end = end_of_traceback(lines, number)
            yield from_traceback(source, lines[number:end], folder)
            number = end
            continue
        if warning := WARNING.search(line):
            yield from_warning(source, warning, lines[number : number + 2], folder)
        elif found := CELERY.match(line) or UVICORN.match(line):
            yield from from_log(source, found, lines[number:])
        elif answer := HANDSHAKE.search(line):
            yield Complaint(source, f"refused the WebSocket {answer['path']}", Weight.ANSWER)
        elif EXCEPTION.match(line.strip()) or MENTIONS_ERROR.search(line):
            text, extent = with_details(lines, number)
            yield Complaint(source, text, Weight.WARNING, lines=lines[number:extent])
            number = extent
            continue
        number += 1


def end_of_traceback(lines: list[str], start: int) -> int:
    """Behind the exception that it ends with, and behind those that follow from it."""
    number = start + 1
    while number < len(lines):
        bare = GROUP.sub("", lines[number])
        is_last = bool(bare) and not bare.startswith(" ") and not TRACEBACK.match(bare)
        if is_last and not starts_log_line(bare) and not bare.startswith(("During ", "The above ")):
            _, number = with_details(lines, number)
            rest = [GROUP.sub("", line) for line in lines[number : number + 4]]
            follows = next((n for n, text in enumerate(rest) if TRACEBACK.match(text)), None)
            between = [text for text in rest[:follows] if text.strip()]
            if follows is None or any(starts_log_line(text) for text in between):
                return number
            number += follows + 1
            continue
        if starts_log_line(bare) and not bare.startswith(" "):
            return number
        number += 1
    return number


def without_level(line: str) -> str:
    """uvicorn logs what the lifespan raises as one message: its level stands in front."""
    found = UVICORN.match(line)
    return found["text"] if found else line


def starts_log_line(text: str) -> bool:
    return bool(CELERY.match(text) or UVICORN.match(text))


def from_traceback(source: str, lines: list[str], folder: Path) -> Complaint:
    lines = [GROUP.sub("", line) for line in lines]
    ends = [n for n, line in enumerate(lines) if EXCEPTION.match(line)]
    number = ends[-1] if ends else len(lines) - 1
    for end in reversed(ends):  # a group's own line says less than the exceptions in it
        if "ExceptionGroup" not in lines[end]:
            number = end
            break
    text, _ = with_details(lines, number)
    where = own_line(lines, folder)
    weight: int = Weight.OWN_LINE if where else Weight.ERROR
    if re.search(r"WebSocketDisconnect\b", text):  # no cause of what another client sees
        weight += Weight.EARLIER
    return Complaint(source, text, weight, where, own_part(lines, folder))


def with_details(lines: list[str], number: int) -> tuple[str, int]:
    """An exception's text with the lines below that say what it is about, and where those end.

    Pydantic names the fields there, one after the other.
    """
    text, end = GROUP.sub("", lines[number]).strip(), number + 1
    if not re.search(r"validation errors?\b", text):
        return text, end
    details = []
    while end < len(lines) and end < number + 16:
        bare = GROUP.sub("", lines[end])
        if starts_log_line(bare) or TRACEBACK.match(bare) or not bare.strip():
            break
        if not bare.lstrip().startswith("For further information"):
            details.append(re.sub(r" \[type=.*", "", bare.strip()))
        end += 1
    return f"{text.rstrip(':')}: {translated('; '.join(details))}", end


def translated(details: str) -> str:
    """FastAPI prints its errors as dictionaries: {'loc': ('response', 'state'), 'msg': ...}."""
    found = re.findall(r"'loc': \(([^)]*)\), 'msg': (?:'([^']*)'|\"([^\"]*)\")", details)
    if not found:
        return details.replace("; Field", ": Field").replace("; Input", ": Input")
    return "; ".join(
        f"{loc.replace(chr(39), '').replace(', ', '.').strip(',')}: {one or other}"
        for loc, one, other in found
    )


def from_warning(source: str, found: re.Match[str], lines: list[str], folder: Path) -> Complaint:
    text = found["text"]
    where = place(found["file"], found["line"], folder)
    name = re.search(r"coroutine '(?:\w+\.)*(?:<locals>\.)?(\w+)' was never awaited", text)
    if name:  # it was thrown away there, and made by the last call before that line
        where = call_that_is_not_awaited(name[1], folder, where) or where
    return Complaint(source, text, Weight.OWN_LINE if where else Weight.ERROR, where, lines)


def from_log(source: str, found: re.Match[str], lines: list[str]) -> Iterator[Complaint]:
    level, text = found["level"], found["text"]
    if answer := ANSWER.search(text):
        said = f"answered {answer['request']} with {answer['status']}"
        yield Complaint(source, said, Weight.ANSWER)
    elif refused := HANDSHAKE.search(text):
        yield Complaint(source, f"refused the WebSocket {refused['path']}", Weight.ANSWER)
    elif (again := RETRY.search(text)) and "Busy" not in again[0]:
        yield Complaint(source, f"tries again after {again[1]}", Weight.WARNING, lines=[text])
    elif level in ("ERROR", "CRITICAL"):
        if (
            len(lines) > 1
            and TRACEBACK.match(GROUP.sub("", lines[1]))
            and "Signal handler" not in text
        ):
            return  # the exception says it
        weight = Weight.ERROR if "raised unexpected" not in text else Weight.WARNING
        yield Complaint(source, text, weight, lines=[text])
    elif level == "WARNING" and MENTIONS_ERROR.search(text):
        yield Complaint(source, text, Weight.WARNING, lines=[text])


def own_part(lines: list[str], folder: Path) -> list[str]:
    """A traceback without the frames of other people's code."""
    kept, is_own = [], True
    for line in lines:
        if frame := FRAME.search(line):
            is_own = bool(place(frame["file"], frame["line"], folder))
        elif not line.startswith("    "):
            is_own = True
        if is_own and line.strip() and not set(line.strip()) <= set("^~"):
            kept.append(line)
    return kept[-MOST_LINES:]


def own_files(folder: Path, suffix: str = ".py") -> Iterator[Path]:
    for path in sorted(folder.rglob(f"*{suffix}")):
        inside = path.relative_to(folder).parts
        is_own = not any(part.startswith(".") or part in NOT_ITS_OWN for part in inside)
        if is_own and path.is_file():  # a folder may be called chart.js
            yield path


def text_of(path: Path) -> str:
    """What the file holds; nothing if it cannot be read."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def call_that_is_not_awaited(name: str, folder: Path, before: str = "") -> str:
    """Where the project's code calls this function without `await`: the first such call, or the
    last one in the file of `before` (file:line) that is not behind that line."""
    calls = calls_that_are_not_awaited(name, folder)
    if not before:
        return ":".join(map(str, next(calls, ())))
    file, _, line = before.partition(":")
    lines = [number for other, number in calls if other == file and number <= int(line)]
    return f"{file}:{max(lines)}" if lines else ""


def calls_that_are_not_awaited(name: str, folder: Path) -> Iterator[tuple[str, int]]:
    """File and line of each such call."""
    for path in own_files(folder):
        try:
            tree = ast.parse(text_of(path))
        except (SyntaxError, ValueError):
            continue
        awaited = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Await)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and id(node) not in awaited and name_of(node) == name:
                yield str(path.relative_to(folder)), node.lineno


def name_of(call: ast.Call) -> str:
    function = call.func
    return getattr(function, "id", "") or getattr(function, "attr", "")


def is_in_async_function(where: str, folder: Path) -> bool:
    """Whether the line is in an `async def`: there, one awaits."""
    name, _, number = where.partition(":")
    try:
        tree = ast.parse(text_of(folder / name))
    except (SyntaxError, ValueError):
        return False
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    around = [
        node
        for node in ast.walk(tree)
        if isinstance(node, kinds)
        and node.lineno <= int(number or 0) <= (node.end_lineno or node.lineno)
    ]
    innermost = max(around, key=lambda node: node.lineno, default=None)
    return isinstance(innermost, ast.AsyncFunctionDef)


def without_repeats(complaints: Iterable[Complaint]) -> list[Complaint]:
    seen: set[tuple[str, str]] = set()
    kept = []
    for complaint in complaints:
        key = (complaint.source, re.sub(r"0x[0-9a-f]+|[0-9a-f-]{36}|\d+", "", complaint.text))
        if key not in seen:
            seen.add(key)
            kept.append(complaint)
    return kept
