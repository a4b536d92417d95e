"""The launcher: it sets up, says clearly what is wrong, and can be interrupted."""

import os
import re
import shutil
import signal
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from course.content.chapters import ROOT
from course.processes import wait_for

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
    assert code == 2
    assert "Is there a network?" in output
    assert "Traceback" not in output


@pytest.mark.thorough
def test_next_start_tries_again(checkout: Path) -> None:
    """After a setup that failed half-way, the next start begins again."""
    launch(checkout)
    (checkout / "requirements" / "run.txt").write_text("")
    (checkout / "pyproject.toml").write_text("this cannot be installed")
    code, output = launch(checkout)
    assert code == 2
    assert "Setting up" in output


@pytest.fixture
def pretended_uv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PATH with a `uv` that notes its calls and makes a Python that only speaks."""
    folder = tmp_path_factory.mktemp("bin")
    uv = folder / "uv"
    uv.write_text(
        f"""#!/bin/sh
echo "$1" >> {folder}/calls
[ "$1" = venv ] || exit 0
sleep 0.5
for path; do :; done
mkdir -p "$path/bin"
cat > "$path/bin/python" <<'END'
#!/bin/sh
echo handed over: "$@", no proxy for "$no_proxy"
echo bytecode: "$PYTHONPYCACHEPREFIX" "$PYTHONDONTWRITEBYTECODE."
END
chmod +x "$path/bin/python"
"""
    )
    uv.chmod(0o755)
    return folder


def start(checkout: Path, uv: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, checkout / "course", "run", "01"],
        env=os.environ | {
            "PATH": f"{uv}{os.pathsep}{os.environ['PATH']}",
            "no_proxy": "intranet",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPYCACHEPREFIX": "/elsewhere",
        },
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_two_terminals_set_up_once(checkout: Path, pretended_uv: Path) -> None:
    """Both start at once: one sets up and says so on stderr, the other waits and finds all done."""
    both = [start(checkout, pretended_uv) for _ in range(2)]
    said = [process.communicate(timeout=30) for process in both]
    words = "handed over: -P -m course run 01, no proxy for intranet,127.0.0.1,localhost"
    assert [out.splitlines()[0] for out, _ in said] == [words, words]
    assert sum("Setting up" in errors for _, errors in said) == 1
    assert (pretended_uv / "calls").read_text().split() == ["venv", "pip", "pip"]


def test_bytecode_is_kept_whatever_the_environment_says(checkout: Path, pretended_uv: Path) -> None:
    """Everything that the tool starts inherits a bytecode cache of its own, inside .venv."""
    said = start(checkout, pretended_uv).communicate(timeout=30)[0]
    assert said.splitlines()[1] == f"bytecode: {checkout}/.venv/bytecode ."


@pytest.mark.parametrize("name", ["a:b", 'a"b', "a$b", "a[b]"])
def test_path_that_breaks_environments_is_said(checkout: Path, name: str) -> None:
    """A path that no virtual environment works in: the remedy is another path, not a package."""
    code, output = launch(checkout.rename(checkout.with_name(name)))
    assert code == 2
    assert f"a path with {name[1]!r} in it" in output
    assert "Rename the folder" in output
    assert "python3-venv" not in output


def test_early_interrupt_is_no_traceback(checkout: Path, pretended_uv: Path) -> None:
    """Ctrl-C during the start: it waits until the launcher, or the tool, can answer in words."""
    # Its first import says that it has come so far, and then takes a while.
    (checkout / "argparse.py").write_text(
        "import pathlib, time, sys\n"
        f"pathlib.Path({str(checkout / 'importing')!r}).touch()\n"
        "time.sleep(0.5)\n"
        "sys.path.pop(0); del sys.modules['argparse']\n"
        "import argparse\n"
    )
    process = start(checkout, pretended_uv)
    assert wait_for((checkout / "importing").exists, 20)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, ""), errors
    assert errors == "Interrupted. The next ./course goes on from here.\n"


def test_interrupt_of_the_tools_own_start(tmp_path: Path) -> None:
    """An interrupt that came while the tool was being imported ends it without a traceback."""
    code = (
        "import os, signal, sys\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "os.execv(sys.executable, [sys.executable, '-P', '-m', 'course', 'doctor'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.thorough
def test_moved_folder_is_set_up_again(checkout: Path, pretended_uv: Path) -> None:
    """What is installed names the folder: after a move it is installed anew, and only then."""
    for _ in range(2):
        start(checkout, pretended_uv).communicate(timeout=30)
    assert (pretended_uv / "calls").read_text().split() == ["venv", "pip", "pip"]
    moved = checkout.rename(checkout.with_name("moved"))
    start(moved, pretended_uv).communicate(timeout=30)
    assert (pretended_uv / "calls").read_text().split() == ["venv", "pip", "pip"] * 2


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
    assert done.returncode == 2
    assert "python3-venv" in done.stdout + done.stderr


def test_unknown_locks_are_said(checkout: Path) -> None:
    """Of lock sets there are two; another name is refused, and nothing is set up."""
    code, output = launch(checkout, "test", "--locks", "newest")
    assert code == 2
    assert "choose from" in output
    assert "taught" in output
    assert not list(checkout.glob(".venv*"))


@pytest.mark.thorough
def test_other_locks_have_an_environment_of_their_own(checkout: Path) -> None:
    """--locks current is set up from current.txt in .venv-current, and leaves .venv alone."""
    (checkout / "requirements" / "current.txt").write_text("no-such-package-of-this-name==1\n")
    code, output = launch(checkout, "test", "04", "--locks", "current", "-q")
    assert code == 2
    assert "requirements/current.txt" in output
    assert (checkout / ".venv-current" / "bin" / "python").exists()
    assert not (checkout / ".venv").exists()


@pytest.mark.thorough
def test_options_of_test_are_for_test_alone(checkout: Path) -> None:
    """Another command that is given --locks is set up as ever: the option is that command's."""
    launch(checkout, "lab", "--locks", "current")
    assert (checkout / ".venv").exists()
    assert not (checkout / ".venv-current").exists()


def test_python_that_is_not_there_is_said(checkout: Path) -> None:
    """A version that is not on the machine: one sentence, with those that are."""
    code, output = launch(checkout, "test", "--python", "3.99")
    assert code == 2
    assert re.fullmatch(
        r"There is no Python '3.99' that the course runs on. Found here: [\d., none]+\.\n", output
    )
    assert not list(checkout.glob(".venv*"))


@pytest.mark.thorough
def test_another_python_has_an_environment_of_its_own(checkout: Path, tmp_path: Path) -> None:
    """--python finds the one that runs, past one that only says which to choose, as pyenv's do."""
    this = f"3.{sys.version_info.minor}"
    other = next(f"3.{minor}" for minor in range(11, 20) if f"3.{minor}" != this)
    words = "pyenv: choose one first"
    for folder, script in (
        ("shims", f"echo '{words}' >&2; exit 127"),
        ("real", f'[ "$1" = -V ] || echo "this is {other}, for $*"'),
    ):
        program = tmp_path / folder / f"python{other}"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    path = Path(os.pathsep.join([str(tmp_path / "shims"), str(tmp_path / "real"), "/bin"]))
    code, output = launch(checkout, "test", "05", "--python", other, path=path)
    assert (code, output) == (
        0,
        f"this is {other}, for {checkout}/course test 05 --python {other}\n",
    )
    # and this very Python is taken as it is, in a folder by its number
    launch(checkout, "test", "--python", this, "--locks", "taught")
    assert (checkout / f".venv-{this}").exists()


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
    assert code == 2
    assert "cannot write to" in output
    assert "Traceback" not in output


def test_commands_need_what_run_installs_alone() -> None:
    """The first command of all finds the run lock's packages: no other one is imported for it."""
    lock = (ROOT / "requirements" / "run.txt").read_text()
    installed = {normalized(name) for name in re.findall(r"^([\w.-]+)==", lock, re.MULTILINE)}
    others = [
        module
        for module, packages in packages_distributions().items()
        if not installed & {normalized(name) for name in packages} and module != "course"
    ]
    assert {"psutil", "pytest"} <= set(others)
    missing = f"import sys; sys.modules |= dict.fromkeys({others!r}); import course.cli.app"
    done = subprocess.run(
        [sys.executable, "-c", missing], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
