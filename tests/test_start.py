"""`./course start`: work/ begins from a snapshot, and is never overwritten."""

import json
from pathlib import Path

import pytest

from course.content.chapters import Chapter, all_chapters, find_chapter
from course.content.diff import files_of
from course.content.steps import find_state
from course.work.folder import WorkProblem, is_begun, start
from course.work.progress import STATE, Progress

NOT_IN_WORK = {"tests", "steps", "README.md"}


def app_of(chapter: Chapter) -> dict[str, str]:
    files = files_of(chapter.folder)
    return {path: text for path, text in files.items() if path.split("/")[0] not in NOT_IN_WORK}


def work_of(folder: Path) -> dict[str, str]:
    return {path: text for path, text in files_of(folder).items() if path != STATE}


@pytest.mark.parametrize("chapter", all_chapters()[1:], ids=str)
def test_work_begins_as_the_chapter_before(chapter: Chapter, tmp_path: Path) -> None:
    """Every file of the chapter before, and none of its tests."""
    work = tmp_path / "work"
    assert start(chapter, work=work) is None
    before = all_chapters()[all_chapters().index(chapter) - 1]
    assert work_of(work) == app_of(before)


def test_first_chapter_begins_as_a_bare_app(tmp_path: Path) -> None:
    """The page, the form and the newsletter service; no Celery task, and no status to ask for."""
    work = tmp_path / "work"
    start(find_chapter("01"), work=work)
    files = work_of(work)
    assert files.keys() == app_of(find_chapter("01")).keys()
    assert "shared_task" not in files["project/subscriptions/tasks.py"]
    assert "task_status" not in files["project/subscriptions/views.py"]


def test_files_that_are_no_text_are_no_obstacle(tmp_path: Path) -> None:
    """A picture is compared like a text, and what is hidden is no part of a chapter."""
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    (tmp_path / ".DS_Store").write_bytes(b"\x00\xff")
    assert list(files_of(tmp_path)) == ["picture.png"]


def test_work_is_never_overwritten(tmp_path: Path) -> None:
    """Work that is there stays, and the message says how to begin anew."""
    work = tmp_path / "work"
    work.mkdir()
    (work / "mine.py").write_text("mine")
    with pytest.raises(WorkProblem, match="--fresh"):
        start(find_chapter("04"), work=work)
    assert [path.name for path in work.iterdir()] == ["mine.py"]
    assert [path.name for path in tmp_path.iterdir()] == ["work"], "nothing half-done is left"


def test_fresh_moves_the_old_work_aside(tmp_path: Path) -> None:
    """--fresh: the old folder keeps everything under a dated name, twice in one second too."""
    work = tmp_path / "work"
    asides = []
    for number in range(3):
        work.mkdir(exist_ok=True)
        (work / "mine.py").write_text(f"mine {number}")
        asides.append(start(find_chapter("02"), fresh=True, work=work))
    assert all(aside and aside.name.startswith("work-20") for aside in asides)
    assert [(aside / "mine.py").read_text() for aside in asides if aside] == [
        "mine 0",
        "mine 1",
        "mine 2",
    ]
    assert not (work / "mine.py").exists()


def test_empty_folder_is_begun(tmp_path: Path) -> None:
    """An empty work/ is no work."""
    (tmp_path / "work").mkdir()
    start(find_chapter("03"), work=tmp_path / "work")
    assert (tmp_path / "work" / "main.py").exists()


def test_progress_is_kept(tmp_path: Path) -> None:
    """What passed keeps its time; what the tool does not know stays in the file."""
    chapter = find_chapter("02")
    (tmp_path / STATE).write_text('{"note": "mine", "chapters": {"02": {"passed": {"a": "then"}}}}')
    Progress.read(tmp_path).note(chapter, ["a", "b"], {"c": "why"})
    data = json.loads((tmp_path / STATE).read_text())
    assert data["note"] == "mine"
    assert data["chapters"]["02"]["passed"]["a"] == "then"
    assert data["chapters"]["02"]["passed"].keys() == {"a", "b"}
    assert data["chapters"]["02"]["first_failed"] == "c"
    assert Progress.read(tmp_path).failed(chapter) == ["c"]
    assert "2 ideas" in Progress.read(tmp_path).summary(chapter)


def test_trying_something_out_does_not_undo_what_is_done(tmp_path: Path) -> None:
    """A chapter that has passed as a whole stays done; a step that passes does not make it so."""
    chapter = find_chapter("02")
    Progress.read(tmp_path).note(find_state("02.1"), ["a"], {})
    assert not Progress.read(tmp_path).is_done(chapter)
    Progress.read(tmp_path).note(chapter, ["a", "b"], {})
    Progress.read(tmp_path).note(chapter, ["a"], {"b": "why"})
    assert Progress.read(tmp_path).is_done(chapter)
    assert "all 2 ideas" in Progress.read(tmp_path).summary(chapter)
    assert Progress.read(tmp_path).failed(chapter) == ["b"]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"chapters": 7}', "\x00"])
def test_damaged_progress_is_no_obstacle(text: str, tmp_path: Path) -> None:
    """A state file that cannot be read is moved aside, and progress begins anew."""
    (tmp_path / STATE).write_text(text)
    chapter = find_chapter("02")
    assert Progress.read(tmp_path).summary(chapter) == ""
    Progress.read(tmp_path).note(chapter, ["a"], {})
    assert Progress.read(tmp_path).passed(chapter).keys() == {"a"}


def test_work_that_is_begun_is_known(tmp_path: Path) -> None:
    """Of the chapter it was begun for, and of its steps; not of another, nor of a folder's."""
    work = tmp_path / "work"
    assert not is_begun(find_chapter("02"), work)
    start(find_chapter("02"), work=work)
    assert is_begun(find_chapter("02"), work)
    assert is_begun(find_state("02.3"), work)
    assert not is_begun(find_chapter("03"), work)
    Progress.read(work).note(find_chapter("02"), ["a"], {})
    assert is_begun(find_chapter("03"), work), "the chapter before is finished in it"
    assert not is_begun(find_chapter("04"), work)


def test_step_is_begun_from_the_step_before(tmp_path: Path) -> None:
    """`start 02.2`: what step 2 changes has yet to be written."""
    start(find_state("02.2"), work=tmp_path / "work")
    views = (tmp_path / "work/project/subscriptions/views.py").read_text()
    assert "wait: float" in views
    assert "import asyncio" not in views
