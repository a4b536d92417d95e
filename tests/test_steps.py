"""The steps of the chapters: each is an app that works, and together they are the chapter."""

import re
from pathlib import Path

import httpx
import pytest

from course.content.chapters import Chapter, all_chapters
from course.content.diff import differences
from course.content.ideas import START, ideas_of
from course.content.steps import (
    Step,
    StepProblem,
    UnknownStep,
    app_of,
    copy_state,
    find_state,
    ideas_to_judge,
    ideas_up_to,
    own_ideas,
    stale_files,
    start_of,
    state_before,
    steps_of,
)
from course.testkit import running
from course.work.session import check

DIVIDED = [chapter for chapter in all_chapters() if steps_of(chapter)]
STATES = [state for chapter in DIVIDED for state in (start_of(chapter), *steps_of(chapter))]
STEPS = [state for state in STATES if state.number]
MOST_LINES = 60  # "fits a screen": what a step adds or changes, tests and empty lines aside


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every state of every chapter, as a folder."""
    found = {}
    for state in STATES:
        found[str(state)] = tmp_path_factory.mktemp("states") / str(state)
        copy_state(state, found[str(state)])
    return found


@pytest.mark.parametrize("chapter", DIVIDED, ids=str)
def test_last_step_is_the_chapter(chapter: Chapter) -> None:
    """Byte for byte; and no step is behind a change to a file that the chapters share."""
    assert stale_files(chapter) == []
    last, own = app_of(steps_of(chapter)[-1]), app_of(chapter)
    assert last.keys() == own.keys()
    assert {p for p in own if own[p].read_bytes() != last[p].read_bytes()} == set()


@pytest.mark.parametrize("chapter", DIVIDED, ids=str)
def test_chapter_has_three_to_seven_steps(chapter: Chapter) -> None:
    """Fewer are no steps, more are no chapter."""
    assert 3 <= len(steps_of(chapter)) <= 7


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_step_fits_a_screen(step: Step) -> None:
    """A step changes something, and no more than a reader can hold."""
    before = state_before(step)
    assert before
    texts = [{p: f.read_text() for p, f in app_of(s).items()} for s in (before, step)]
    lines = [
        line
        for change in differences(texts[0], texts[1], {})
        for line in change.lines
        if line.startswith("+") and line[1:].strip() and change.path.startswith("project/")
    ]
    assert lines or step.shows, f"step {step} changes nothing, and shows nothing"
    assert len(lines) <= MOST_LINES
    for place, path in step.changed.items():
        old = app_of(before).get(place)
        assert not old or old.read_bytes() != path.read_bytes(), f"{place} is not changed by {step}"


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_step_says_what_it_is(step: Step) -> None:
    """A title, what the reader sees afterwards, and ideas that the chapter has."""
    assert step.name
    assert step.shows.endswith(".")
    assert {idea.key for idea in own_ideas(step)} == set(step.idea_keys)


@pytest.mark.parametrize("chapter", DIVIDED, ids=str)
def test_every_idea_has_its_place(chapter: Chapter) -> None:
    """No idea belongs to two steps, and after the last step all of the chapter's hold."""
    keys = [idea.key for idea in ideas_up_to(steps_of(chapter)[-1])]
    assert len(keys) == len(set(keys))
    assert set(keys) == {idea.key for idea in ideas_of(chapter)}


@pytest.mark.parametrize("chapter", DIVIDED, ids=str)
def test_what_a_step_brings_is_checked_soon(chapter: Chapter) -> None:
    """After the basics, which are few and quick, and before all else that is given."""
    step = steps_of(chapter)[-1]
    brought = [idea.key for one in steps_of(chapter) for idea in own_ideas(one)]
    ideas = ideas_to_judge(step)
    assert set(ideas) == set(ideas_up_to(step))
    at = [idea.key for idea in ideas].index(brought[0])
    assert [idea.key for idea in ideas[at : at + len(brought)]] == brought
    assert ideas[0].key == START
    assert at <= 10
    assert not any(idea.needs_browser for idea in ideas[:at])


@pytest.mark.thorough
@pytest.mark.timeout(120)
def test_states_start(folders: dict[str, Path]) -> None:
    """In every state the web process starts, and serves the page."""
    assert len(folders) == len(STATES)
    for name, folder in folders.items():
        with running(folder, "web") as project:
            answer = project.http.get(project.url)
            assert answer.status_code == httpx.codes.OK, name
            assert "</form>" in answer.text, name


@pytest.mark.gallery
@pytest.mark.timeout(300)
@pytest.mark.parametrize("state", STATES, ids=str)
def test_ideas_hold_from_their_step_on(state: Step, folders: dict[str, Path]) -> None:
    """What is given and what the steps have brought holds; the next step's ideas do not yet."""
    steps = steps_of(state.chapter)
    coming = own_ideas(steps[state.number]) if state.number < len(steps) else []
    result = check(
        [*ideas_up_to(state), *coming],
        folders[str(state)],
        stop_at_first=False,
        limit=250,
    )
    assert result.problem == ""
    failed = {decision.idea.key for decision in result.of("failed")}
    chance = set(steps[state.number].may_hold_before) if coming else set()
    assert failed | chance == {idea.key for idea in coming}, result.of("failed")
    assert result.of("not reached") == []


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("04", "04-broadcaster"),
        ("broadcaster", "04-broadcaster"),
        ("01.0", "01.0"),
        ("1.0", "01.0"),
    ],
)
def test_state_is_found(wanted: str, found: str) -> None:
    """A chapter by number or name, a step by its two numbers."""
    assert str(find_state(wanted)) == found


@pytest.mark.parametrize("wanted", ["01.9", "1.9"])
def test_unknown_step_is_named(wanted: str) -> None:
    """The message has the steps there are."""
    with pytest.raises(UnknownStep, match="has no step 9"):
        find_state(wanted)


def made_of(folder: Path, files: dict[str, str]) -> Chapter:
    """A chapter of these files."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Chapter("01", "made", folder, "")


ABOUT = 'title = "t"\nshows = "s."\nideas = []\n'
MADE = {
    "main.py": "one\ntwo = 2\nthree = 3\n",
    "new.py": "new\n",
    "README.md": "",
    "tests/test_a.py": "",
    "steps/0-start/main.py": "one\nthree = 3\n",
    "steps/0-start/old.py": "old\n",
    "steps/0-start/step.toml": ABOUT + 'removed = ["new.py"]\n',
    "steps/1-two/main.py": "one\ntwo = 2\nthree = 3\n",
    "steps/1-two/step.toml": ABOUT,
    "steps/2-new/new.py": "new\n",
    "steps/2-new/step.toml": ABOUT + 'removed = ["old.py"]\n',
}


def test_state_is_the_overlays_on_one_another(tmp_path: Path) -> None:
    """A later file takes the place of an earlier one; what a step removes is gone."""
    chapter = made_of(tmp_path, MADE)
    start, (first, second) = start_of(chapter), steps_of(chapter)
    assert {place: path.read_text() for place, path in app_of(start).items()} == {
        "main.py": "one\nthree = 3\n",
        "old.py": "old\n",
    }
    assert app_of(first)["main.py"].read_text() == MADE["main.py"]
    assert app_of(second).keys() == {"main.py", "new.py"}
    assert stale_files(chapter) == []
    copy_state(second, tmp_path / "copy")
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == ["main.py", "new.py"]


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("main.py", "other\ntwo = 2\nthree = 3\n", "steps/1-two/main.py is not .*course spread"),
        ("steps/1-two/main.py", "one\ntwo = 2\n", "steps/1-two/main.py lacks .*'three = 3'"),
        ("steps/2-new/extra.py", "", "extra.py is there after step 01.2, and not in"),
        ("another.py", "", "another.py is in 01-made, and not there after step 01.2"),
    ],
)
def test_step_that_is_stale_is_named(file: str, text: str, words: str, tmp_path: Path) -> None:
    """With the file, and with what mends it."""
    gone = {"steps/0-start/step.toml": ABOUT + 'removed = ["new.py", "another.py"]\n'}
    more = gone if file == "another.py" else {}
    found = stale_files(made_of(tmp_path, {**MADE, **more, file: text}))
    assert re.search(words, "\n".join(found)), found


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"steps/4-late/step.toml": ABOUT}, "not numbered"),
        ({"steps/2-new/step.toml": ABOUT + 'removed = ["none.py"]\n'}, "removes none.py"),
    ],
)
def test_wrong_step_is_named(files: dict[str, str], words: str, tmp_path: Path) -> None:
    """Numbers with a gap, and a file to remove that is not there."""
    chapter = made_of(tmp_path, MADE | files)
    with pytest.raises(StepProblem, match=words):
        app_of(steps_of(chapter)[-1])
