"""Small changes to a copy of a chapter, kept as data: in a file, an old text becomes a new one."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LEFT_OUT = ("tests", "steps", "README.md", "__pycache__", ".*_cache")


class EditProblem(Exception):
    """A change does not fit its file. The message says which."""


@dataclass(frozen=True)
class Edit:
    file: str
    old: str = ""  # occurs once in the file; without it, `new` is the whole file
    new: str = ""  # without old and new, the file goes

    @classmethod
    def read(cls, data: dict[str, Any]) -> "Edit":
        return cls(data["file"], data.get("old", ""), data.get("new", ""))

    def apply(self, folder: Path) -> None:
        path = folder / self.file
        if self.old:
            text = path.read_text() if path.exists() else ""
            if (count := text.count(self.old)) != 1:
                raise EditProblem(f"{self.file} holds {count} times, not once: {self.old!r}")
            path.write_text(text.replace(self.old, self.new))
        elif self.new:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.new)
        else:
            path.unlink()


def copy_app(chapter: Path, target: Path, edits: list[Edit]) -> None:
    """Copy a chapter's app, without its tests, steps and README, and change the copy."""
    shutil.copytree(chapter, target, ignore=shutil.ignore_patterns(*LEFT_OUT))
    for edit in edits:
        edit.apply(target)
