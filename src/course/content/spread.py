"""A change to a file that several chapters share, carried into all of them, and into their steps.

A step's file that was the same becomes the same again. One that was different is an earlier or
later form of that file: the changed lines are merged into it, as git merges them, if they fit.
"""

import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from course.content.chapters import ROOT


class SpreadProblem(Exception):
    """The file cannot be spread. The message says why, and what to do."""


@dataclass(frozen=True)
class Copy:
    path: Path  # relative to the repository
    fate: str  # "changed", "same already", or why it was left alone
    text: bytes | None = None  # what it is to become, if it is to change

    @property
    def is_behind(self) -> bool:
        return self.text is not None


def spread(given: Path, dry_run: bool = False, root: Path = ROOT) -> list[Copy]:
    """Make the file's copies like it, in those chapters where they were the same in git's HEAD.

    A copy that was different there is that chapter's lesson, and is left alone; so is one that
    has been changed since. Into the steps of those chapters the change is merged. Raises
    SpreadProblem if there is nothing to carry, or nowhere to.
    """
    file = given.resolve()
    parts = file.relative_to(root).parts if file.is_relative_to(root) else ()
    if len(parts) < 3 or parts[0] != "chapters" or (parts[2] == "steps" and len(parts) < 5):
        raise SpreadProblem(f"{given} is not a file of a chapter, as chapters/05-.../main.py is.")
    if not file.is_file():
        raise SpreadProblem(f"{given} is not there, or is a folder: name one file.")
    own = Path(*parts)
    name = Path(*(parts[4:] if parts[2] == "steps" else parts[2:]))
    before = in_head(root, own)
    if before is None:
        raise SpreadProblem(f"{given} is not in git's HEAD: copy it by hand, and commit it.")
    heads = {path: in_head(root, path) for path in places(root, name) if path != own}
    same = {path.parts[1] for path, head in heads.items() if head == before} | {parts[1]}
    copies = {
        path: head
        for path, head in heads.items()
        if head is not None and (path.parts[2] != "steps" or path.parts[1] in same)
    }
    if before not in copies.values() and not any(path.parts[2] == "steps" for path in copies):
        raise SpreadProblem(f"No other chapter has the {name} that {parts[1]} has in git's HEAD.")
    now = file.read_bytes()
    found = [fate_of(root, path, head, before, now) for path, head in copies.items()]
    for copy in found:
        if copy.text is not None and not dry_run:
            (root / copy.path).write_bytes(copy.text)
    return found


def places(root: Path, name: Path) -> list[Path]:
    """Where a file of this name may be: in each chapter, and in each of its steps."""
    found = []
    for folder in sorted((root / "chapters").iterdir()):
        for place in (folder, *sorted(folder.glob("steps/*"))):
            found.append(place.relative_to(root) / name)
    return found


def fate_of(root: Path, path: Path, head: bytes, before: bytes, now: bytes) -> Copy:
    here = (root / path).read_bytes() if (root / path).is_file() else None
    if here == now:
        return Copy(path, "the same already")
    if here is None:
        return Copy(path, "left alone: it has been removed")
    if path.parts[2] == "steps" and here != before:
        return merged(path, here, before, now)
    if head != before:
        return Copy(path, "left alone: it was different before")
    if here != head:
        return Copy(path, "left alone: it has a change of its own")
    return Copy(path, "changed", now)


def merged(path: Path, here: bytes, before: bytes, now: bytes) -> Copy:
    """A step's file with the change from `before` to `now`, if each changed line finds its place.

    What has its place in the file already is not changed again.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("step", "before", "now")]
        for file, text in zip(files, (here, before, now), strict=True):
            file.write_bytes(text)
        command = ["git", "merge-file", "--stdout", *map(str, files)]
        done = subprocess.run(command, capture_output=True, check=False, timeout=30)
    if done.returncode:
        return Copy(
            path, "left alone: the change does not fit there; make it by hand, if it should"
        )
    if done.stdout == here:
        return Copy(path, "has the change already")
    return Copy(path, "changed: merged", done.stdout)


def in_head(root: Path, path: Path) -> bytes | None:
    """What git's last commit has at this path; None: nothing."""
    command = ["git", "-C", str(root), "cat-file", "-p", f"HEAD:./{path.as_posix()}"]
    env = os.environ | {"LC_ALL": "C"}  # what git says is looked at, below
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=30, env=env)
    except FileNotFoundError:
        raise SpreadProblem("git is not installed, and only git knows what was the same.") from None
    if b"not a git repository" in done.stderr:
        raise SpreadProblem(f"{root} is no git repository: only git knows what was the same.")
    return None if done.returncode else done.stdout
