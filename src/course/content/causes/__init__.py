"""What a failure means: rules from what was seen to its cause, data in the files beside this.

general.toml holds what is true in every idea. A file of a test file's name holds, for its ideas,
what a failure of that idea alone means, or of several: [["test_one, test_other"]]; see Rule.
"""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Rule:
    """Fits where all of its expressions are found."""

    usually: str  # what it means, and what helps; {name} is a group of `said` or `seen`
    said: str = ""  # in what the project said: see general.toml
    seen: str = ""  # in what the test expected and saw, a line each
    code: str = ""  # in the project's own code; the line where it is found is looked at
    async_code: str = ""  # in a line of an `async def` of that code
    lacks: str = ""  # nowhere in the project's own code
    find: str = ""  # "name": where the project's code has that group is looked at
    in_async: str = ""  # what helps at a line in an `async def`
    in_sync: str = ""  # and what helps elsewhere
    look_at: str = ""  # the file to open if no line is known
    example: str = ""  # what it fits: a test holds that

    def match(self, said: str, seen: str) -> dict[str, str] | None:
        """The groups of the expressions if they are found, else None."""
        groups: dict[str, str] = {}
        for pattern, text in ((self.said, said), (self.seen, seen)):
            if pattern:
                found = re.search(pattern, text)
                if not found:
                    return None
                groups |= {name: value or "" for name, value in found.groupdict().items()}
        return groups

    def text(self, groups: dict[str, str], is_async: bool) -> str:
        more = self.in_async if is_async else self.in_sync
        words = f"{self.usually}; {more}" if more else self.usually
        return words.format(**groups)


def read(rules: Sequence[dict[str, str]]) -> list[Rule]:
    return [Rule(**rule) for rule in rules]


@cache
def general_rules() -> list[Rule]:
    return read(tomllib.loads(Path(__file__).with_name("general.toml").read_text())["rule"])


@cache
def rules_of_ideas() -> dict[str, list[Rule]]:
    """By the idea's key."""
    found: dict[str, list[Rule]] = {}
    for file in sorted(Path(__file__).parent.glob("test_*.toml")):
        for keys, rules in tomllib.loads(file.read_text()).items():
            for key in keys.split(", "):
                found.setdefault(key, []).extend(read(rules))
    return found
