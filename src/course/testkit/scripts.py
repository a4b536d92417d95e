"""A script of the project, run to its end."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Script:
    name: str
    exit_code: int
    output: str
    errors: str  # what it wrote to stderr, even if it ended with 0

    @property
    def error_lines(self) -> list[str]:
        return self.errors.splitlines()


def run(
    folder: Path, env: dict[str, str], name: str, arguments: tuple[str, ...], within: float
) -> Script:
    done = subprocess.run(
        [sys.executable, name, *arguments],
        cwd=folder, env=env, timeout=within, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return Script(name, done.returncode, done.stdout, done.stderr)
