"""Every idea has its three hints, and every hint belongs to an idea."""

from pathlib import Path

import pytest

from course.content.chapters import Chapter, all_chapters, find_chapter
from course.content.hints import HINTS_EACH, all_hints, hints_for
from course.content.ideas import ideas_of
from course.work.hints import NoHint, next_hint
from course.work.progress import Progress


@pytest.mark.parametrize("chapter", all_chapters(), ids=str)
def test_no_idea_is_without_three_hints(chapter: Chapter) -> None:
    """Each idea has three hints, all different, the last one the longest way to go."""
    for idea in ideas_of(chapter):
        hints = hints_for(idea.file, idea.key)
        assert len(set(hints)) == HINTS_EACH, f"{idea.key} has {len(set(hints))} hints"
        assert all(len(hint) > 20 for hint in hints), idea.key


def test_no_hint_is_without_an_idea() -> None:
    """No hint is left over from a test that has gone."""
    keys = {(idea.file.stem, idea.key) for c in all_chapters() for idea in ideas_of(c)}
    assert {(file, key) for file, hints in all_hints().items() for key in hints} <= keys


def test_ideas_have_names_of_their_own() -> None:
    """No two ideas of a chapter share a name or a text, and each has a text."""
    for chapter in all_chapters():
        ideas = ideas_of(chapter)
        assert len({idea.key for idea in ideas}) == len(ideas)
        assert len({idea.text for idea in ideas}) == len(ideas)
        assert all(idea.text.endswith(".") for idea in ideas)
        assert any(idea.is_new for idea in ideas)


def test_hints_come_one_after_the_other(tmp_path: Path) -> None:
    """The next hint each time, the third again in the end; another idea begins with its first."""
    chapter = find_chapter("04")
    files = {idea.key: idea.file for idea in ideas_of(chapter)}
    with pytest.raises(NoHint, match="course check 04"):
        next_hint(chapter, files, Progress.read(tmp_path))
    Progress.read(tmp_path).note(chapter, [], {"test_view_subscribes": "why"})
    numbers = [next_hint(chapter, files, Progress.read(tmp_path)).number for _ in range(4)]
    assert numbers == [1, 2, 3, 3]
    Progress.read(tmp_path).note(chapter, ["test_view_subscribes"], {"test_script_publishes": "x"})
    hint = next_hint(chapter, files, Progress.read(tmp_path))
    assert (hint.key, hint.number, hint.cause) == ("test_script_publishes", 1, "x")
    Progress.read(tmp_path).note(chapter, ["test_script_publishes"], {})
    with pytest.raises(NoHint, match="nothing failed"):
        next_hint(chapter, files, Progress.read(tmp_path))
