"""What a failure means, in words: for expectations, for processes that died, and for accidents."""

import re
import tomllib
from pathlib import Path
from typing import Any

from course.processes.tracebacks import last_error, own_line, traceback_in
from course.testkit.expect import NotAsExpected

NO_ANSWER = ("ReadTimeout", "ConnectError", "ReadError", "RemoteProtocolError", "ConnectTimeout")
COMPLAINT = re.compile(r"Error\b|Exception\b|cannot|WARNING").search

MEANINGS = tomllib.loads(Path(__file__).with_name("meanings.toml").read_text())["meaning"]


def meaning_of(lines: list[str]) -> str:
    text = "\n".join(lines)
    return next((str(m["usually"]) for m in MEANINGS if re.search(m["pattern"], text)), "")


def why_it_did_not_start(
    name: str, exit_code: int | None, lines: list[str], folder: Path, port: int | None, limit: float
) -> NotAsExpected:
    """A process of the project that ended, or that was never ready."""
    error = last_error(lines)
    if exit_code is not None:
        seen = f"it ended with exit code {exit_code}" + (f": {error}" if error else "")
        silent = "it ended without a word: something in the code ends the process"
        usually = meaning_of(lines) or ("its log has the reason" if lines else silent)
    else:
        at = f", and does not answer at port {port}" if port else f", not ready after {limit:g} s"
        seen = f"it runs{at}" + (f": {error}" if error else "")
        usually = meaning_of(lines) or (
            f"it listens on another port than the {port} it was told: "
            "the Procfile must take the port from the environment"
            if port and not error
            else "it waits for something that does not come; its log has the last it did"
        )
    where = own_line(lines, folder)
    problem = NotAsExpected(f"the {name} process starts", seen, usually, where or "Procfile")
    problem.log = traceback_in(lines, folder)
    return problem


def explain(error: BaseException, folder: Path, logs: dict[str, list[str]]) -> dict[str, Any]:
    """Any failure of a test as expected, seen, usually, look_at, and the log that belongs to it.

    `logs` is what each process of the project has said since the test began.
    """
    troubled = {name: lines for name, lines in logs.items() if own_line(lines, folder)}
    complaints = {
        name: found for name, lines in logs.items() if (found := list(filter(COMPLAINT, lines)))
    }
    name, lines = next(iter((troubled or complaints).items()), ("", []))
    where = own_line(lines, folder)
    told = {
        "expected": getattr(error, "expected", ""),
        "seen": getattr(error, "seen", ""),
        "usually": getattr(error, "usually", ""),
        "look_at": getattr(error, "look_at", ""),
        "log": getattr(error, "log", []) or traceback_in(lines, folder),
        "log_of": name,
        "where": where,
    }
    if isinstance(error, NotAsExpected):
        usually, meaning = error.usually or last_error(lines), meaning_of(lines)
        told["usually"] = f"{usually}; or: {meaning}" if usually and meaning else usually or meaning
        return told
    kind, text = type(error).__name__, str(error).strip()
    if isinstance(error, AssertionError) and text.startswith("Locator expected"):
        told["expected"], told["seen"] = from_browser(text)
        told["usually"] = "the page was not told, or did not show what it was told"
        told["look_at"] = where or "project/subscriptions/static/follow.js"
    elif kind in NO_ANSWER:
        told["expected"], told["seen"] = "an answer to each request", f"none ({kind}: {text})"
        told["usually"] = "a view waits without a limit, or the web process has died or is blocked"
    elif "Timeout" in text and kind == "Failed":
        told["expected"] = "this is decided within the check's limit of time"
        told["seen"] = "nothing that decides it"
        told["usually"] = "something waits for ever, or blocks the event loop"
    else:
        told["expected"] = "an answer of the kind that the chapter describes"
        told["seen"] = f"one that cannot be read: {kind}: {text[:300]}"
        told["usually"] = "a field is missing, or the answer is not JSON"
    if where:
        told["usually"] = f"{last_error(lines)}" + (f": {m}" if (m := meaning_of(lines)) else "")
        told["look_at"] = where
    return told


def from_browser(text: str) -> tuple[str, str]:
    """Playwright's "Locator expected to ... / Actual value: ..." as expected and seen."""
    head, _, rest = text.partition("Actual value:")
    expected = " ".join(head.split()).removeprefix("Locator expected ")
    locator = re.search(r"waiting for (.+)", rest)
    what = f" in the page's {locator[1]}" if locator else ""
    return f"{expected}{what}", rest.strip().splitlines()[0] if rest.strip() else "nothing"
