"""How far a student's project is: a small JSON file in it.

It belongs to the student: what the tool does not know in it stays there, and what is damaged is
moved aside, not overwritten.
"""

import json
import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from course.content.chapters import Chapter
from course.content.exercises import Work, exercises_of
from course.content.steps import Step

STATE = "course-progress.json"


def now() -> str:
    return datetime.now().isoformat(timespec="seconds")


@dataclass
class Progress:
    """What the state file of a project holds."""

    project: Path
    data: dict[str, Any]

    @classmethod
    def read(cls, project: Path) -> "Progress":
        file = project / STATE
        data: Any = {}
        try:
            data = json.loads(file.read_text())
        except FileNotFoundError:
            pass
        except (OSError, ValueError):
            with suppress(OSError):
                shutil.move(file, file.with_suffix(f".damaged-{time.strftime('%Y%m%d-%H%M%S')}"))
        return cls(project, data if isinstance(data, dict) else {})

    def save(self) -> None:
        """Write it whole or not at all. A project that cannot be written to keeps no progress."""
        text = json.dumps(self.data, indent=2) + "\n"
        file = self.project / STATE
        fresh = file.with_suffix(f".{os.getpid()}.new")
        with suppress(OSError):
            fresh.write_text(text)
            fresh.replace(file)

    def section(self, *names: str) -> dict[str, Any]:
        """A dictionary inside a dictionary, made if it is not there."""
        found = self.data
        for name in names:
            if not isinstance(found.get(name), dict):
                found[name] = {}
            found = found[name]
        return found

    def passed(self, what: Work) -> dict[str, Any]:
        """When each idea of it passed, by its key."""
        return self.section(*what.place, "passed")

    def is_done(self, what: Work) -> bool:
        """Has a check of all of it passed once? What is tried out afterwards does not undo it."""
        return "done" in self.section(*what.place)

    def summary(self, chapter: Chapter) -> str:
        """How far the work is, in a few words."""
        own = self.section(*chapter.place)
        done = [str(e.number) for e in exercises_of(chapter) if self.is_done(e)]
        exercises = [f"exercise {' and '.join(done)}"] if done else []
        if "checked" not in own:
            begun = ["begun"] if self.data.get("started") == chapter.number else []
            return ", ".join(begun + exercises)
        count = f"{'all ' if self.is_done(chapter) else ''}{len(self.passed(chapter))} ideas"
        return ", ".join([count, str(own["checked"])[:10], *exercises])

    def failed(self, what: Work) -> list[str]:
        """The keys of the ideas that failed in its last check."""
        return list(self.section(*what.place, "failed"))

    def note(self, what: Work, passed: list[str], failed: dict[str, str]) -> None:
        """Note the outcome of a check: what passed and when, and what failed and why, in order."""
        own, times = self.section(*what.place), self.passed(what)
        for key in passed:
            times.setdefault(key, now())
        own["checked"], own["failed"] = now(), failed
        own["first_failed"] = next(iter(failed), None)
        if not failed and not isinstance(what, Step):
            own.setdefault("done", now())
        self.data["last_checked"] = what.arguments
        self.save()
