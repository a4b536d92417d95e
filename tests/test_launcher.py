"""The launcher: it sets up, says clearly what is wrong, and can be interrupted."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from course.chapters import ROOT

LAUNCHER = ROOT / "course"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the course without a .venv: what the launcher itself needs."""
    shutil.copy(LAUNCHER, tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "run.txt").write_text("no-such-package-of-this-name==1\n")
    return tmp_path


def launch(checkout: Path, *arguments: str, path: Path | None = None) -> tuple[int, str]:
    env = os.environ | ({"PATH": str(path)} if path else {})
    done = subprocess.run(
        [sys.executable, checkout / "course", *arguments],
        capture_output=True,
        text=True,
        timeout=50,
        env=env | {"PIP_RETRIES": "0", "PIP_NO_INDEX": "1", "UV_OFFLINE": "1"},
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_launcher_needs_the_standard_library_alone() -> None:
    """The launcher imports nothing that Python does not bring."""
    modules = re.findall(r"^\s*(?:import|from) (\w+)", LAUNCHER.read_text(), re.M)
    assert set(modules) <= sys.stdlib_module_names


def test_no_network_is_said_in_a_sentence(checkout: Path) -> None:
    """Packages that cannot be had: the reason, what to do, and no traceback."""
    code, output = launch(checkout)
    assert code == 1
    assert "Is there a network?" in output
    assert "Traceback" not in output


def test_next_start_tries_again(checkout: Path) -> None:
    """After a setup that failed half-way, the next start begins again."""
    launch(checkout)
    (checkout / "requirements" / "run.txt").write_text("")
    (checkout / "pyproject.toml").write_text("this cannot be installed")
    code, output = launch(checkout)
    assert code == 1
    assert "Setting up" in output


def test_missing_venv_module_is_said_in_a_sentence(checkout: Path, tmp_path: Path) -> None:
    """Debian's Python comes without venv: the launcher names the package that has it."""
    (tmp_path / "venv.py").write_text("raise SystemExit('No module named ensurepip')")
    done = subprocess.run(
        [sys.executable, checkout / "course"],
        capture_output=True,
        text=True,
        timeout=50,
        env={"PATH": str(tmp_path), "PYTHONPATH": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 1
    assert "python3-venv" in done.stdout + done.stderr


def test_read_only_folder_is_said_in_a_sentence(checkout: Path) -> None:
    """A folder that cannot be written to: one sentence, and what to do."""
    before = (checkout / "course").read_text()
    # Root may write anywhere, so the refusal itself is played.
    played = "import builtins\nbuiltins.open = lambda name, *rest: (_ for _ in ()).throw("
    played += "PermissionError(13, 'Permission denied', str(name)))\n"
    (checkout / "course").write_text(
        before.replace("import hashlib\n", f"import hashlib\n{played}")
    )
    code, output = launch(checkout)
    assert code == 1
    assert "cannot write to" in output
    assert "Traceback" not in output
