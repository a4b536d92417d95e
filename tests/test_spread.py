"""`./course spread`: a change reaches the copies that were the same, and no other file."""

import subprocess
from pathlib import Path

import pytest

from course.content.spread import SpreadProblem, spread

FILES = {
    "chapters/01-a/main.py": "shared",
    "chapters/02-b/main.py": "shared",
    "chapters/03-c/main.py": "a lesson of its own",
    "chapters/04-d/main.py": "shared",
    "chapters/04-d/only.py": "here alone",
    "chapters/05-e/deep/down/view.py": "deep",
    "chapters/04-d/deep/down/view.py": "deep",
    "README.md": "no chapter",
}


def git(root: Path, *words: str) -> None:
    who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com"]
    command = ["git", "-C", str(root), *who, *words]
    subprocess.run(command, check=True, capture_output=True, timeout=30)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A clone of a repository with chapters."""
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    origin.mkdir()
    git(origin, "init")
    for name, text in FILES.items():
        (origin / name).parent.mkdir(parents=True, exist_ok=True)
        (origin / name).write_text(text)
    git(origin, "add", ".")
    git(origin, "commit", "-m", "The chapters")
    git(tmp_path, "clone", str(origin), str(clone))
    return clone


def texts(root: Path) -> dict[str, str]:
    return {name: (root / name).read_text() for name in FILES}


def fates(root: Path) -> dict[str, str]:
    """Spread chapter 2's main.py: what became of each copy, by chapter."""
    copies = spread(root / "chapters/02-b/main.py", root=root)
    return {copy.path.parts[1]: copy.fate for copy in copies}


def test_change_reaches_the_copies_that_were_the_same(root: Path) -> None:
    """The copies follow; a chapter that differs on purpose keeps its file."""
    (root / "chapters/02-b/main.py").write_text("better")
    fates = {
        str(copy.path): copy.fate for copy in spread(root / "chapters/02-b/main.py", root=root)
    }
    assert fates == {
        "chapters/01-a/main.py": "changed",
        "chapters/03-c/main.py": "left alone: it was different before",
        "chapters/04-d/main.py": "changed",
    }
    better = ["chapters/01-a/main.py", "chapters/02-b/main.py", "chapters/04-d/main.py"]
    assert texts(root) == FILES | dict.fromkeys(better, "better")


def test_file_in_a_folder_of_a_chapter(root: Path) -> None:
    """A file further down is found in the same place; chapters without it do not matter."""
    (root / "chapters/05-e/deep/down/view.py").write_text("deeper")
    copies = spread(root / "chapters/05-e/deep/down/view.py", root=root)
    assert [(str(copy.path), copy.fate) for copy in copies] == [
        ("chapters/04-d/deep/down/view.py", "changed")
    ]
    assert texts(root)["chapters/04-d/deep/down/view.py"] == "deeper"


def test_dry_run_changes_nothing(root: Path) -> None:
    """--dry-run says what would be done, and does not do it."""
    (root / "chapters/02-b/main.py").write_text("better")
    before = texts(root)
    copies = spread(root / "chapters/02-b/main.py", dry_run=True, root=root)
    assert [str(copy.path) for copy in copies if copy.is_behind] == [
        "chapters/01-a/main.py",
        "chapters/04-d/main.py",
    ]
    assert texts(root) == before


def test_copy_with_a_change_of_its_own_is_left_alone(root: Path) -> None:
    """What somebody has changed or removed since the commit is not overwritten."""
    (root / "chapters/02-b/main.py").write_text("better")
    (root / "chapters/01-a/main.py").write_text("another idea")
    (root / "chapters/04-d/main.py").unlink()
    fates = {
        copy.path.parts[1]: copy.fate for copy in spread(root / "chapters/02-b/main.py", root=root)
    }
    assert fates["01-a"] == "left alone: it has a change of its own"
    assert fates["04-d"] == "left alone: it has been removed"
    assert (root / "chapters/01-a/main.py").read_text() == "another idea"


def test_twice_is_once(root: Path) -> None:
    """A second run finds the copies the same already."""
    (root / "chapters/02-b/main.py").write_text("better")
    spread(root / "chapters/02-b/main.py", root=root)
    fates = {
        copy.path.parts[1]: copy.fate for copy in spread(root / "chapters/02-b/main.py", root=root)
    }
    assert fates["01-a"] == fates["04-d"] == "the same already"


LINES = ["import a", "", "", "def one():", "    return 1", "", "", "def two():", "    return 2", ""]


def with_steps(root: Path) -> None:
    """Chapters 1 and 2 share view.py; steps of chapter 2 have it as it is and in part."""
    whole = "\n".join(LINES)
    files = {
        "chapters/01-a/view.py": whole,
        "chapters/02-b/view.py": whole,
        "chapters/02-b/steps/1-part/view.py": "\n".join(LINES[:6]),
        "chapters/02-b/steps/2-rest/view.py": whole,
        "chapters/03-c/view.py": "other",
        "chapters/03-c/steps/1-other/view.py": whole.replace("import a", "import c"),
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    git(root, "add", ".")
    git(root, "commit", "-m", "Steps")


def test_change_reaches_the_steps(root: Path) -> None:
    """A step's copy follows; one that has the file in part gets the lines that fit there."""
    with_steps(root)
    better = "\n".join(LINES).replace("import a", "import a, b")
    (root / "chapters/01-a/view.py").write_text(better)
    copies = spread(root / "chapters/01-a/view.py", root=root)
    assert {str(copy.path): copy.fate for copy in copies} == {
        "chapters/02-b/view.py": "changed",
        "chapters/02-b/steps/1-part/view.py": "changed: merged",
        "chapters/02-b/steps/2-rest/view.py": "changed",
        "chapters/03-c/view.py": "left alone: it was different before",
    }
    part = (root / "chapters/02-b/steps/1-part/view.py").read_text()
    assert part == "\n".join(LINES[:6]).replace("import a", "import a, b")
    assert "import c\n" in (root / "chapters/03-c/steps/1-other/view.py").read_text()


def test_change_that_does_not_fit_a_step_is_named(root: Path) -> None:
    """A line that the step has not got yet cannot be changed there: the step stays as it is."""
    with_steps(root)
    better = "\n".join(LINES).replace("return 2", "return 22")
    (root / "chapters/02-b/view.py").write_text(better)
    fates = {str(c.path): c.fate for c in spread(root / "chapters/02-b/view.py", root=root)}
    assert fates["chapters/02-b/steps/2-rest/view.py"] == "changed"
    assert "does not fit" in fates["chapters/02-b/steps/1-part/view.py"]
    part = (root / "chapters/02-b/steps/1-part/view.py").read_text()
    assert part == "\n".join(LINES[:6])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("README.md", "not a file of a chapter"),
        ("/etc/hostname", "not a file of a chapter"),
        ("chapters/04-d", "not a file of a chapter"),
        ("chapters/05-e/deep", "name one file"),
        ("chapters/04-d/none.py", "not there"),
        ("chapters/04-d/new.py", "not in git's HEAD"),
        ("chapters/04-d/only.py", "No other chapter has"),
        ("chapters/03-c/main.py", "No other chapter has"),
    ],
)
def test_what_cannot_be_spread_is_said(root: Path, name: str, words: str) -> None:
    """One sentence: not a chapter's file, not known to git, or without a copy."""
    (root / "chapters/04-d/new.py").write_text("new")
    with pytest.raises(SpreadProblem, match=words):
        spread(root / name, root=root)


def test_without_git_history_it_is_said(tmp_path: Path) -> None:
    """A folder that is no clone: git does not know what was the same."""
    file = tmp_path / "chapters" / "01-a" / "main.py"
    file.parent.mkdir(parents=True)
    file.write_text("")
    with pytest.raises(SpreadProblem, match="no git repository"):
        spread(file, root=tmp_path)
