"""`check --wires`: before a failure stands what passed between the processes last."""

import shutil
from pathlib import Path

import pytest
from command import course

from course.content.chapters import find_chapter
from course.content.ideas import START, ideas_of
from course.testkit.report import LAST_EVENTS
from course.work.output import message
from course.work.session import check

CHAPTER = find_chapter("05")
PUBLISHES = "    async_to_sync(update_celery_task_status)(task_id)\n"


@pytest.fixture
def silent(tmp_path: Path) -> Path:
    """Chapter 5, but its worker publishes nothing: the message is lost on purpose."""
    project = tmp_path / "silent"
    shutil.copytree(CHAPTER.folder, project, ignore=shutil.ignore_patterns("__pycache__"))
    file = project / "project" / "celery_utils.py"
    assert PUBLISHES in file.read_text()
    file.write_text(file.read_text().replace(PUBLISHES, "    pass\n"))
    return project


@pytest.mark.thorough
@pytest.mark.timeout(120)
def test_missing_message_is_seen(silent: Path) -> None:
    """The result is stored, and no PUBLISH follows it: the twenty lines show where it ends."""
    wanted = (START, "test_end_is_told_at_once")
    ideas = [idea for idea in ideas_of(CHAPTER) if idea.key in wanted]
    failed = check(ideas, silent, lanes=1, with_wires=True).first_failed
    assert failed
    assert failed.idea.key == wanted[1]
    assert failed.failure
    lines = failed.failure.wires
    assert 0 < len(lines) <= LAST_EVENTS
    stored = next(n for n, line in enumerate(lines) if "SUCCESS" in line and "SETEX" in line)
    assert any("web → browser" in line for line in lines)
    assert not any("PUBLISH" in line for line in lines[stored:])
    text = "\n".join(line.plain for line in message([failed], silent, is_verbose=False))
    assert "what passed between the processes last:" in text
    assert lines[-1].strip() in text


def test_command_has_the_option() -> None:
    assert "--wires" in course("check", "--help").stdout
