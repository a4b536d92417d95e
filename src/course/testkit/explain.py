"""A failure in words: what was expected and seen, what the project says, and what that means."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
from websockets.exceptions import ConnectionClosed, InvalidStatus

from course.content.causes import Rule, general_rules, rules_of_ideas
from course.testkit.events import Failure
from course.testkit.evidence import (
    Complaint,
    Weight,
    gather,
    in_lines,
    is_in_async_function,
    last_words,
    own_files,
    text_of,
)
from course.testkit.expect import NotAsExpected
from course.testkit.follower import closed_with
from course.testkit.records import Record

MOST_SAID = 2  # complaints that are quoted
LONGEST = 400  # characters of one
LOG_LINES = 12


@dataclass(frozen=True)
class Cause:
    """Which rule fits what, and where that stands."""

    text: str
    complaint: Complaint | None = None
    look_at: str = ""
    place: str = ""  # in the code that the rule names: more telling than where it was seen


def explain(error: BaseException, folder: Path, record: Record, idea: str = "") -> Failure:
    """Any failure of a test, in words and with its cause."""
    reason = getattr(error, "reason", None)  # of a process that did not start
    if isinstance(reason, NotAsExpected):
        error = reason
    expected, seen = in_words(error, record)
    record.settle()
    complaints = gather(record, folder)
    known: list[Complaint] = getattr(error, "complaints", [])
    return explained(expected, seen, known or complaints, folder, idea, error)


def explained(
    expected: str,
    seen: str,
    complaints: list[Complaint],
    folder: Path,
    idea: str = "",
    error: BaseException | None = None,
) -> Failure:
    complaints = sorted(complaints, key=lambda c: (c.weight, not is_about(c, expected)))
    cause = find_cause(expected, seen, complaints, folder, idea)
    usually, look_at = cause.text, cause.look_at
    told = [cause.complaint] if cause.complaint else []
    told += [c for c in complaints if c.weight <= Weight.WARNING and c not in told]
    first = told[0] if told else None
    if not usually and not (first and first.weight <= Weight.OWN_LINE):
        usually = getattr(error, "usually", "")
    where = next((c.where for c in told[:MOST_SAID] if c.where), "")
    hinted = getattr(error, "look_at", "")
    return Failure(
        expected,
        seen,
        because=[quoted(complaint) for complaint in told[:MOST_SAID]],
        usually=usually,
        look_at=cause.place or where or look_at or hinted,
        log=first.lines[-LOG_LINES:] if first and len(first.lines) > 1 else [],
        log_of=first.source if first else "",
        cause=key_of(cause, first, where) or f"{expected}: {seen}",
    )


def is_about(complaint: Complaint, expected: str) -> bool:
    """Whether an answer with an error is the one that the test is about."""
    words = re.search(r"([A-Z]+) (/[\w/]*)", expected)
    return words is not None and f"{words[1]} {words[2]}".rstrip("/") in complaint.text


def key_of(cause: Cause, first: Complaint | None, where: str) -> str:
    """The same for two failures of which one explanation is enough."""
    if cause.complaint:
        return f"{cause.text} {where}"
    return f"{first.text} {where}" if first and first.weight <= Weight.OWN_LINE else ""


def quoted(complaint: Complaint) -> str:
    source = complaint.source
    text = complaint.text if len(complaint.text) <= LONGEST else f"{complaint.text[:LONGEST]} ..."
    where = f" ({complaint.where.replace(':', ', line ')})" if complaint.where else ""
    if text.startswith(("it ended", "answered", "refused")):
        return f"{source}: {text.removeprefix('it ')}{where}"
    return f"{source}: {text}{where}"


def find_cause(
    expected: str, seen: str, complaints: list[Complaint], folder: Path, idea: str
) -> Cause:
    """The first rule that fits: an idea's own about what was said, then what the project says in
    general, then the idea's own about what was seen."""
    own = rules_of_ideas().get(idea, [])
    test_saw = f"{expected}\n{seen}"
    now = [c for c in complaints if c.weight < Weight.EARLIER]
    earlier = [c for c in complaints if c.weight >= Weight.EARLIER]
    strong = [c for c in now if c.weight <= Weight.WARNING]
    weak = [c for c in now if c.weight > Weight.WARNING]
    own_said = [rule for rule in own if rule.said]
    own_seen = [rule for rule in own if not rule.said]
    for rules, among in (
        (own_said, now),
        (general_rules(), strong),
        (own_seen, []),
        (general_rules(), weak),
        (own_said, earlier),
        (general_rules(), earlier),
        ([rule for rule in general_rules() if not rule.said], []),
    ):
        if found := first_fit(rules, among, test_saw, folder):
            return found
    return Cause("")


def first_fit(
    rules: list[Rule], complaints: list[Complaint], test_saw: str, folder: Path
) -> Cause | None:
    for complaint in (*complaints, None):
        said = complaint.all_text if complaint else ""
        for rule in rules:
            if bool(rule.said) != bool(complaint):
                continue
            groups = rule.match(said, test_saw)
            if groups is None or (place := place_in_code(rule, groups, folder)) is None:
                continue
            where = (complaint.where if complaint and not rule.code else "") or place
            text = rule.text(groups, bool(where) and is_in_async_function(where, folder))
            named = place if rule.code else ""
            return Cause(text, complaint, where or rule.look_at, named)
    return None


def place_in_code(rule: Rule, groups: dict[str, str], folder: Path) -> str | None:
    """Where in the project's code the rule points, as file:line; empty if nowhere in particular.

    None if what it asks for is not there, or if what should be lacking is.
    """
    if rule.lacks and find_in_code(rule.lacks, folder):
        return None
    if rule.async_code:
        places = places_in_code(rule.async_code, folder)
        return next((place for place in places if is_in_async_function(place, folder)), None)
    if rule.code:
        return find_in_code(rule.code, folder) or None
    name = groups.get("name", "")
    return find_in_code(rf"\b{re.escape(name)}\b", folder) if rule.find and name else ""


def places_in_code(pattern: str, folder: Path) -> Iterator[str]:
    """Where the project's code matches, each as file:line."""
    for suffix in (".py", ".js", ".html", "Procfile"):
        for path in own_files(folder, suffix):
            text = text_of(path)
            for found in re.finditer(pattern, text):
                line = text.count("\n", 0, found.start()) + 1
                yield f"{path.relative_to(folder)}:{line}"


def find_in_code(pattern: str, folder: Path) -> str:
    return next(places_in_code(pattern, folder), "")


# What a test met, in words: no name of a test tool's own.


def in_words(error: BaseException, record: Record) -> tuple[str, str]:
    """What was expected and what was seen."""
    if isinstance(error, NotAsExpected):
        return error.expected, error.seen
    text = str(error).strip()
    if isinstance(error, AssertionError) and text.startswith(("Locator expected", "Page expected")):
        expected, seen = from_browser(text)
        notice = record.page.notice() if record.page and "notice" not in expected else ""
        return expected, f"{seen} (its notice: {notice})" if notice else seen
    for kinds, words in WORDS:
        if isinstance(error, kinds):
            return words(error, record)
    if type(error).__name__ == "Failed" and "Timeout" in text:
        return "this is decided within the check's limit of time", "nothing that decides it"
    if type(error).__module__.startswith("playwright"):
        return "the page does what a reader would do on it", readable(text)
    return "an answer of the kind that the chapter describes", f"one that cannot be read: {text}"


def no_answer(error: BaseException, record: Record) -> tuple[str, str]:
    request = getattr(error, "_request", None)
    what = f"{request.method} {request.url.path}" if request else "each request"
    words = {
        httpx.TimeoutException: "none in the time that the check waits",
        httpx.ConnectError: "the connection is refused: nothing listens at the web process's port",
    }
    seen = next((text for kind, text in words.items() if isinstance(error, kind)), "")
    return f"an answer to {what}", seen or "the connection was cut before the answer was complete"


def not_json(error: BaseException, record: Record) -> tuple[str, str]:
    assert isinstance(error, json.JSONDecodeError)
    return "an answer in JSON", f"{error.doc[:200]!r}" if error.doc else "an empty answer"


def no_such_field(error: BaseException, record: Record) -> tuple[str, str]:
    return f"a field {error.args[0]!r} in the answer", "an answer without it"


def of_another_shape(error: BaseException, record: Record) -> tuple[str, str]:
    return "a JSON object with the fields that the chapter describes", "a value of another kind"


def socket_closed(error: BaseException, record: Record) -> tuple[str, str]:
    assert isinstance(error, ConnectionClosed)
    return "an open WebSocket", f"it was closed with {closed_with(error)}"


def refused(error: BaseException, record: Record) -> tuple[str, str]:
    assert isinstance(error, InvalidStatus)
    return "the WebSocket handshake is accepted", f"HTTP {error.response.status_code}"


def too_late(error: BaseException, record: Record) -> tuple[str, str]:
    return "this happens within the time that the check waits", "it did not"


Words = Callable[[BaseException, Record], tuple[str, str]]
WORDS: list[tuple[type[BaseException] | tuple[type[BaseException], ...], Words]] = [
    (httpx.HTTPError, no_answer),
    (json.JSONDecodeError, not_json),
    (KeyError, no_such_field),
    (InvalidStatus, refused),
    (ConnectionClosed, socket_closed),
    (TimeoutError, too_late),
    ((TypeError, AttributeError, IndexError, ValueError), of_another_shape),
]


def from_browser(text: str) -> tuple[str, str]:
    """Playwright's "Locator expected to ... / Actual value: ..." in words."""
    head, _, rest = text.partition("Actual value:")
    expected = " ".join(head.split()).removeprefix("Locator expected ").removeprefix("Page ")
    expected = readable(expected)
    first = rest.strip().splitlines()[0].strip() if rest.strip() else ""
    what = next((words for name, words in PARTS.items() if name in rest), "the page")
    if "element(s) not found" in text or first in ("", "None"):
        seen = f"{what} has no text" if first == "" and "not found" not in text else "no such part"
    else:
        seen = first
    return f"{what}: {expected}", seen


PARTS = {
    'get_by_role("status")': "the page's line for the state",
    'locator("#latency")': "the page's line about the latency",
    'locator("#notice")': "the page's notice",
    'locator("#totals")': "the wire panel's totals",
    'get_by_label("e-mail")': "the form's field",
    'get_by_role("button")': "the form's button",
    'get_by_role("progressbar")': "the progress bar",
}


def readable(text: str) -> str:
    """Without regular expressions and the tool's own notes."""
    text = text.partition("Call log:")[0].strip()
    text = re.sub(
        r"'?re\.compile\((['\"])(.*?)\1[^)]*\)'?",
        lambda found: "'" + found[2].replace("|", "' or '").replace(r"\d", "0").strip("^$") + "'",
        text,
    )
    text = re.sub(r"regex pattern ", "text ", text)
    text = re.sub(r"Locator\.\w+: |Page\.\w+: ", "", text)
    return re.sub(r"Timeout (\d+)ms exceeded\.?", r"not within \1 ms", text)


def why_it_did_not_start(
    name: str, exit_code: int | None, lines: list[str], folder: Path, port: int | None, limit: float
) -> NotAsExpected:
    """A process of the project that ended, or that was never ready: in its own last words."""
    if exit_code is not None:
        complaint = last_words(name, exit_code, lines, folder)
        seen, usually = complaint.text, ""
        if not lines:
            usually = "it ended without a word: something in the code ends the process"
        complaints = [replace(complaint, text=complaint.text.partition(": ")[2] or seen)]
    else:
        spoken = [line.strip() for line in lines if line.strip()][-1:]
        at = f", and does not answer at port {port}" if port else f", not ready after {limit:g} s"
        complaints = list(in_lines(name, lines, folder))
        seen = f"it runs{at}" + (f"; it said last: {spoken[0]}" if spoken else "; it said nothing")
        usually = (
            f"it listens on another port than the {port} it was given: "
            "the Procfile must take the port from the environment"
            if port and any("running on http://" in line for line in lines)
            else "it waits for something that does not come"
        )
    is_the_command = exit_code is None or any("not found" in line for line in lines)
    look_at = "Procfile" if is_the_command else ""
    problem = NotAsExpected(f"the {name} process starts", seen, usually, look_at)
    problem.complaints = sorted(complaints, key=lambda complaint: complaint.weight)
    return problem
