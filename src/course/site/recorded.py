"""What the pages quote of runs: recordings, each made by `./course record` and included by name.

docs/recorded/recordings.toml lists them; each is in docs/recorded/NAME.txt, and in a page it is

    {{ recorded 01.2-requests }}

made-from.json has, for each, a hash of the app, of the entry and of the test, if it shows one, that
it was made from: a recording is stale if one of them has changed since.
"""

import hashlib
import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course.content.chapters import ROOT, find_chapter
from course.content.steps import app_of, find_state

RECORDED = ROOT / "docs" / "recorded"
LIST = RECORDED / "recordings.toml"
MADE_FROM = RECORDED / "made-from.json"
INCLUDE = re.compile(r"^(?P<indent> *)\{\{ recorded (?P<name>\S+) \}\}$")


class NoRecording(ValueError):
    """A page includes a recording that there is not."""


@dataclass(frozen=True)
class Recording:
    name: str
    state: str  # the chapter or step that runs: "01.2"
    shows: str  # what is recorded: a key of record.KINDS
    title: str  # above it on the page
    options: dict[str, Any]

    @property
    def file(self) -> Path:
        return RECORDED / f"{self.name}.txt"

    @property
    def made_from(self) -> str:
        """A hash of all that decides what is recorded."""
        app = app_of(find_state(self.state))
        found = hashlib.sha256(json.dumps([self.shows, self.options], sort_keys=True).encode())
        for place, path in sorted(app.items()):
            found.update(place.encode() + b"\0" + path.read_bytes())
        if test := self.options.get("test"):  # what it says of a broken app
            tests = find_chapter(self.state).folder / "tests"
            found.update((tests / test.partition("::")[0]).read_bytes())
        return found.hexdigest()[:16]


def recordings() -> list[Recording]:
    return [
        Recording(
            name=entry.pop("name"),
            state=entry.pop("state"),
            shows=entry.pop("shows"),
            title=entry.pop("title"),
            options=entry,
        )
        for entry in tomllib.loads(LIST.read_text())["recording"]
    ]


def stale() -> list[Recording]:
    """Those that were made from another app than there is now, or never."""
    made = made_from()
    return [one for one in recordings() if made.get(one.name) != one.made_from]


def made_from() -> dict[str, str]:
    """What each recording was made from, by its name."""
    return dict(json.loads(MADE_FROM.read_text())) if MADE_FROM.exists() else {}


def note(done: Recording) -> None:
    """Note what this recording has just been made from, and forget those that are gone."""
    made = made_from() | {done.name: done.made_from}
    kept = {one.name: made[one.name] for one in recordings() if one.name in made}
    MADE_FROM.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n")


def with_recordings(lines: list[str]) -> list[str]:
    """Replace each include of a recording by its text. Raises NoRecording."""
    known = {one.name: one for one in recordings()}
    result = []
    for line in lines:
        if match := INCLUDE.match(line):
            found = known.get(match["name"])
            if not found or not found.file.exists():
                raise NoRecording(f"there is no recording {match['name']!r}: ./course record")
            block = [f'```text title="{found.title}"', *found.file.read_text().splitlines()]
            result += [match["indent"] + text if text else "" for text in [*block, "```"]]
        else:
            result.append(line)
    return result
