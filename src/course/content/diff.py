"""What changes from one chapter to another, file by file, each with its reason."""

import difflib
import re
from dataclasses import dataclass
from pathlib import Path

from course.content.chapters import Chapter
from course.content.steps import State, Step, app_of

IGNORED = {"__pycache__", "README.md", "steps"}  # and what is hidden: caches, .DS_Store
NEW_ITEM = re.compile(r"^- `([^`]+)`: (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Change:
    path: str  # relative to the chapter
    kind: str  # "new", "changed" or "gone"
    reason: str  # from the README of the later chapter; "" if it gives none
    lines: list[str]  # a unified diff, without its two head lines


def files_of(folder: Path) -> dict[str, str]:
    """The text of every file that belongs to a chapter, by its path there."""
    return {
        path.relative_to(folder).as_posix(): path.read_text("utf-8", errors="replace")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(map(is_ignored, path.relative_to(folder).parts))
    }


def is_ignored(name: str) -> bool:
    return name in IGNORED or name.startswith(".")


def what_is_new(chapter: Chapter) -> dict[str, str]:
    """The README's list "What is new": a reason for each file, or folder with a final slash."""
    text = (chapter.folder / "README.md").read_text()
    section = text.partition("## What is new")[2].partition("\n## ")[0]
    return dict(NEW_ITEM.findall(section))


def reason_for(path: str, reasons: dict[str, str]) -> str:
    folders = [entry for entry in reasons if entry.endswith("/") and path.startswith(entry)]
    return reasons.get(path) or (reasons[folders[0]] if folders else "")


def changes(before: State, after: State) -> list[Change]:
    """Every file that differs. Reasons are known for a chapter and the one before it.

    Where a step is compared, with another or with a chapter, the app is, without its tests.
    """
    if isinstance(before, Chapter) and isinstance(after, Chapter):
        return differences(files_of(before.folder), files_of(after.folder), what_is_new(after))
    reasons = what_is_new(after.chapter if isinstance(after, Step) else after)
    return differences(texts_of(before), texts_of(after), reasons)


def texts_of(state: State) -> dict[str, str]:
    """The text of every file of the app in that state, by its path there."""
    found = {
        place: path.read_text("utf-8", errors="replace") for place, path in app_of(state).items()
    }
    return {place: text for place, text in found.items() if not is_ignored(Path(place).name)}


def differences(old: dict[str, str], new: dict[str, str], reasons: dict[str, str]) -> list[Change]:
    """What changes between two sets of files: the text of each, by its path."""
    found = []
    for path in sorted(old.keys() | new.keys()):
        if old.get(path) == new.get(path):
            continue
        kind = "new" if path not in old else "gone" if path not in new else "changed"
        diff = difflib.unified_diff(
            old.get(path, "").splitlines(), new.get(path, "").splitlines(), lineterm=""
        )
        found.append(Change(path, kind, reason_for(path, reasons), list(diff)[2:]))
    return found
