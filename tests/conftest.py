"""What tests of several files share."""

import subprocess
import sys
from pathlib import Path

import pytest
from command import environment

from course.content.chapters import ROOT


@pytest.fixture(scope="session")
def built_site() -> Path:
    """The site, built strictly as a reader does it: ./course docs --build sets itself up."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "course"), "docs", "--build"],
        cwd=ROOT,
        env=environment() | {"COURSE_NOTEBOOK_CACHE": str(ROOT / ".cache" / "notebooks-of-tests")},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return ROOT / "site"
