"""The notebooks: executed from a clean kernel, again, and out of order; committed unexecuted."""

import json
import os
import random
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import nbformat
import psutil
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from typer.testing import CliRunner

from course.cli.app import app
from course.content.chapters import ROOT
from course.processes import wait_for

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CELL_LIMIT = 60  # seconds; the slowest cell takes about 2 on a quiet machine
# What the deliberate errors are. Their messages are quoted in the notebook, and compared below.
ERRORS = {
    "awaited-twice": "RuntimeError",
    "timeout-raises": "TimeoutError",
    "forgotten-await-used": "TypeError",
    "in-a-running-loop": "RuntimeError",
    "asyncio-run-in-a-cell": "RuntimeError",
    "connection-of-another-loop": "RuntimeError",
    "subscribed-connection-only-listens": "Error",
}

pytestmark = pytest.mark.timeout(180)  # five times what a busy machine needs
ANSWERS = tomllib.loads((ROOT / "tests" / "notebook-answers.toml").read_text())
# The tests of one notebook share a process, and so its executions.
each_notebook = pytest.mark.parametrize(
    "path",
    [pytest.param(p, id=p.stem[:2], marks=pytest.mark.xdist_group(p.name)) for p in NOTEBOOKS],
)


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)  # type: ignore[no-any-return, no-untyped-call]


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def is_tagged(cell: NotebookNode) -> bool:
    return "raises-exception" in cell.metadata.get("tags", [])


@dataclass
class Run:
    """What came of executing cells of a notebook in one kernel."""

    cells: list[NotebookNode]  # as executed, in that order, with their outputs
    children: list[psutil.Process]  # of the kernel, just before it was told to end


def run_in_order(path: Path) -> Run:
    """All cells from a clean kernel."""
    return execute(path, code_cells(read(path)))


def run_again(path: Path) -> Run:
    """All cells, and then all of them again."""
    cells = code_cells(read(path))
    return execute(path, [*cells, *cells])


def run_out_of_order(path: Path) -> Run:
    """The set-up cell; then those that need another cell, too early; then all in any order."""
    set_up, *others = code_cells(read(path))
    in_need = [cell for cell in others if "needs(" in cell.source]
    random.Random(path.name).shuffle(others)
    return execute(path, [set_up, *in_need, *others])


def execute(path: Path, cells: list[NotebookNode]) -> Run:
    notebook = read(path)
    notebook.cells = [NotebookNode(cell) for cell in cells]  # type: ignore[no-untyped-call]
    client = NotebookClient(
        notebook, timeout=CELL_LIMIT, resources={"metadata": {"path": str(path.parent)}}
    )
    with client.setup_kernel():
        for index, cell in enumerate(notebook.cells):
            with suppress(CellExecutionError):  # its outputs say so: the tests look at them
                client.execute_cell(cell, index)
        assert client.km
        kernel = psutil.Process(client.km.provisioner.pid)  # type: ignore[union-attr]
        children = kernel.children(recursive=True)
    return Run(notebook.cells, [kernel, *children])


@cache
def executed(run: Callable[[Path], Run], path: Path) -> Run:
    """Executed once, whichever tests look at it."""
    return run(path)


def errors_of(cell: NotebookNode) -> list[NotebookNode]:
    return [output for output in cell.outputs if output.output_type == "error"]


def text_of(error: NotebookNode) -> str:
    return f"{error.ename}: {error.evalue}"


def check_outputs(cell: NotebookNode) -> None:
    for output in cell.outputs:
        said = output.get("text", "")
        assert output.get("name") != "stderr", f"cell {cell.id} said on stderr: {said}"
        if "image/png" in output.get("data", {}):
            assert output.metadata["image/png"]["alt"], f"cell {cell.id}: no text alternative"


def check_nothing_left(run: Run) -> None:
    def gone() -> bool:
        return not any(process.is_running() for process in run.children)

    assert wait_for(gone, limit=5), f"left running: {[p for p in run.children if p.is_running()]}"


@each_notebook
def test_notebook_runs_in_order(path: Path) -> None:
    """From a clean kernel: only the deliberate errors, no warning, nothing left."""
    check_run(executed(run_in_order, path))


@pytest.mark.thorough
@each_notebook
def test_notebook_runs_again(path: Path) -> None:
    """A second time in the same kernel it does the same."""
    check_run(run_again(path))


def check_run(done: Run) -> None:
    for cell in done.cells:
        check_outputs(cell)
        errors = errors_of(cell)
        if is_tagged(cell):
            assert [error.ename for error in errors] == [ERRORS[cell.id]], f"cell {cell.id}"
        else:
            assert not errors, f"cell {cell.id}: {text_of(errors[0])}"
    check_nothing_left(done)


@pytest.mark.thorough
@each_notebook
def test_notebook_runs_out_of_order(path: Path) -> None:
    """After the set-up cell, each cell works, or says under which heading to run a cell first."""
    done = executed(run_out_of_order, path)
    headings = re.findall(r"^#+ (.*)$", "\n".join(c.source for c in read(path).cells), re.M)
    for cell in done.cells:
        check_outputs(cell)
        for error in errors_of(cell):
            if is_tagged(cell):
                assert error.ename == ERRORS[cell.id]
            else:
                said = re.fullmatch(r"Run the cell under “(.*)” first: .*", error.evalue)
                assert said, f"cell {cell.id}: {text_of(error)}"
                assert said[1] in headings
    check_nothing_left(done)


@each_notebook
def test_deliberate_errors_are_quoted(path: Path) -> None:
    """The text after a deliberate error begins with that error's own words."""
    cells = read(path).cells
    after = {cell.id: following for cell, following in pairwise(cells)}
    for cell in filter(is_tagged, executed(run_in_order, path).cells):
        quoted = re.match(r"`([^`]+)`", after[cell.id].source)
        assert quoted, f"after cell {cell.id} the message is quoted first"
        assert " ".join(quoted[1].split()) in text_of(errors_of(cell)[0])


def test_redis_notebook_has_a_real_server() -> None:
    """The check for leftovers would see a Redis that stays: the kernel does have one."""
    path = ROOT / "notebooks" / "05-redis-pubsub.ipynb"
    run = execute(path, code_cells(read(path))[:1])
    # Only the kernel and its server; after the kernel's end their names cannot be asked any more.
    assert len(run.children) == 2
    check_nothing_left(run)


def test_every_deliberate_error_is_listed() -> None:
    """The errors that are checked are exactly those that the notebooks have."""
    tagged = {cell.id for path in NOTEBOOKS for cell in code_cells(read(path)) if is_tagged(cell)}
    assert tagged == set(ERRORS)


@each_notebook
def test_notebook_is_committed_without_outputs(path: Path) -> None:
    """What git would commit has no output, no execution count and no metadata of an editor."""
    notebook = nbformat.reads(text_in_git(path), as_version=4)  # type: ignore[no-untyped-call]
    remedy = f"jupyter nbconvert --clear-output --inplace {path.relative_to(ROOT)}"
    for cell in code_cells(notebook):
        assert not cell.outputs, remedy
        assert cell.execution_count is None, remedy
    for cell in notebook.cells:
        assert set(cell.metadata) <= {"tags"}, f"cell {cell.id}: {dict(cell.metadata)}"
    assert notebook.metadata.kernelspec.name == "python3"
    assert set(notebook.metadata) == {"kernelspec", "language_info"}


def text_in_git(path: Path) -> str:
    """The staged version: a reader may execute and save the file without breaking a test."""
    command = ["git", "show", f":notebooks/{path.name}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return path.read_text() if done.returncode else done.stdout


@pytest.mark.thorough
def test_lab_uses_the_courses_own_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`./course lab` opens notebooks/ with this Python's kernel, whatever kernels a user has."""
    foreign = tmp_path / "kernels" / "python3" / "kernel.json"
    foreign.parent.mkdir(parents=True)
    foreign.write_text('{"argv": ["another-python"], "display_name": "Another", "language": ""}')
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "0")
    assert kernel_folder(os.environ) == foreign.parent

    started = []
    monkeypatch.setattr(os, "execve", lambda *arguments: started.append(arguments))
    CliRunner().invoke(app, ["lab", "--no-browser"])
    [(python, command, env)] = started
    assert command[:5] == [python, "-P", "-m", "jupyterlab", str(ROOT / "notebooks")]
    assert "--no-browser" in command
    assert kernel_folder(env).is_relative_to(sys.prefix)


def kernel_folder(env: Mapping[str, str]) -> Path:
    """Where Jupyter finds the kernel named python3, in that environment."""
    command = [sys.executable, "-m", "jupyter", "kernelspec", "list", "--json"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    return Path(json.loads(done.stdout)["kernelspecs"]["python3"]["resource_dir"])


@each_notebook
def test_notebook_asks_before_it_tells(path: Path) -> None:
    """Three or four questions to predict, each with a cell to run and then a folded answer."""
    cells = read(path).cells
    questions = 0
    for index, cell in enumerate(cells):
        if cell.cell_type == "markdown" and "**Predict, then run.**" in cell.source:
            questions += 1
            assert cells[index + 1].cell_type == "code"
            assert cells[index + 2].source.startswith("<details><summary>Answer</summary>")
    assert 3 <= questions <= 4
    assert sum("<details>" in cell.source for cell in cells) == questions


@pytest.mark.parametrize(
    "stem", [pytest.param(s, marks=pytest.mark.xdist_group(f"{s}.ipynb")) for s in ANSWERS]
)
def test_readers_cells_are_judged(stem: str) -> None:
    """Three cells are the reader's: not right as they come, and right with an answer."""
    path = ROOT / "notebooks" / f"{stem}.ipynb"
    cells = code_cells(read(path))
    yours = {cell.id for cell in cells if cell.id.startswith("yours-")}
    assert len(yours) == 3
    assert yours == ANSWERS[stem].keys()
    for cell in executed(run_in_order, path).cells:
        if cell.id in yours:
            assert "Not yet." in printed(cell), cell.id

    if not any(cell.id in yours and "needs(" in cell.source for cell in cells):
        cells = [cell for cell in cells if cell.id == "set-up" or cell.id in yours]
    for cell in cells:
        for edit in ANSWERS[stem].get(cell.id, []):
            assert cell.source.count(edit["old"]) == 1, cell.id
            cell.source = cell.source.replace(edit["old"], edit["new"])
    for cell in execute(path, cells).cells:
        if cell.id in yours:
            assert printed(cell) == "✓ Right.\n", f"{cell.id}: {cell.outputs}"


def printed(cell: NotebookNode) -> str:
    return "".join(output.get("text", "") for output in cell.outputs)
