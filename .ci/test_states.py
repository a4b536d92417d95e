"""Each state of each chapter, step by step: linted, formatted and typed as a chapter is."""

import subprocess
import sys
from pathlib import Path

import pytest

from course.content.chapters import ROOT, all_chapters
from course.content.steps import copy_state, start_of, steps_of

STATES = [
    state
    for chapter in all_chapters()
    if steps_of(chapter)
    for state in (start_of(chapter), *steps_of(chapter))
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What mypy learns of the libraries is the same for all."""
    return tmp_path_factory.mktemp("mypy")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("state", STATES, ids=str)
def test_state_is_clean(state, cache: Path, tmp_path: Path) -> None:
    """ruff and mypy find nothing in it."""
    folder = tmp_path / "state"
    copy_state(state, folder)
    config = str(ROOT / "pyproject.toml")
    for command in (
        ["ruff", "check", "--no-cache", "--config", config, "."],
        ["ruff", "format", "--check", "--no-cache", "--config", config, "."],
        ["mypy", "--config-file", config, "--cache-dir", str(cache), "."],
    ):
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=folder, capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
