"""The processes that a process has started, seen from outside."""

from contextlib import suppress

import psutil


def relatives(pid: int) -> list[psutil.Process]:
    """Its children, and theirs."""
    return psutil.Process(pid).children(recursive=True)


def commands_of(members: list[psutil.Process]) -> str:
    """The command of each, a line each; of those that have just ended, none."""
    found = []
    for member in members:
        with suppress(psutil.Error):
            found.append(" ".join(member.cmdline()))
    return "\n".join(found)
