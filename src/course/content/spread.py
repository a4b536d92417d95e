"""A change to a file that several chapters share, carried into all of them."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from course.content.chapters import ROOT


class SpreadProblem(Exception):
    """The file cannot be spread. The message says why, and what to do."""


@dataclass(frozen=True)
class Copy:
    path: Path  # relative to the repository
    fate: str  # "changed", "same already", or why it was left alone
    is_behind: bool = False  # it is to become like the file that is spread


def spread(given: Path, dry_run: bool = False, root: Path = ROOT) -> list[Copy]:
    """Make the file's copies like it, in those chapters where they were the same in git's HEAD.

    A copy that was different there is that chapter's lesson, and is left alone; so is one that
    has been changed since. Raises SpreadProblem if there is nothing to carry, or nowhere to.
    """
    file = given.resolve()
    parts = file.relative_to(root).parts if file.is_relative_to(root) else ()
    if len(parts) < 3 or parts[0] != "chapters":
        raise SpreadProblem(f"{given} is not a file of a chapter, as chapters/05-.../main.py is.")
    if not file.is_file():
        raise SpreadProblem(f"{given} is not there, or is a folder: name one file.")
    name = Path(*parts[2:])
    before = in_head(root, Path(*parts))
    if before is None:
        raise SpreadProblem(f"{given} is not in git's HEAD: copy it by hand, and commit it.")
    paths = [folder.relative_to(root) / name for folder in sorted((root / "chapters").iterdir())]
    heads = {path: in_head(root, path) for path in paths if path != Path(*parts)}
    copies = {path: head for path, head in heads.items() if head is not None}
    if before not in copies.values():
        raise SpreadProblem(f"No other chapter has the {name} that {parts[1]} has in git's HEAD.")
    now = file.read_bytes()
    found = [fate_of(root, path, head, before, now) for path, head in copies.items()]
    for copy in found:
        if copy.is_behind and not dry_run:
            (root / copy.path).write_bytes(now)
    return found


def fate_of(root: Path, path: Path, head: bytes, before: bytes, now: bytes) -> Copy:
    here = (root / path).read_bytes() if (root / path).is_file() else None
    if head != before:
        return Copy(path, "left alone: it was different before")
    if here == now:
        return Copy(path, "the same already")
    if here is None:
        return Copy(path, "left alone: it has been removed")
    if here != head:
        return Copy(path, "left alone: it has a change of its own")
    return Copy(path, "changed", is_behind=True)


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
