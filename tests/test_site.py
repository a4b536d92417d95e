"""The site: it builds strictly, tells the truth about code and commands, and needs no network."""

import functools
import http.server
import importlib
import json
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from playwright.sync_api import Page

from course.cli.app import app
from course.content.chapters import ROOT, all_chapters, find_chapter
from course.content.rounding import three_figures as as_text
from course.site.build import MADE_FROM, looks
from course.site.numbers import NoNumber, with_numbers
from course.site.questions import questions_of
from course.site.recorded import recordings, stale

DOCS = ROOT / "docs"
GENERATED = ("changes/", "notebooks/", "print.md", "numbers/")
PAGES = [
    path
    for path in sorted(DOCS.rglob("*.md"))
    if not path.relative_to(DOCS).as_posix().startswith(GENERATED)
]
READMES = [
    ROOT / "README.md",
    *sorted(ROOT.glob("chapters/*/README.md")),
    *sorted(ROOT.glob("exercises/*/*/README.md")),
]
# Commands that the course is about to have. As soon as one exists its lines are checked.
EXPECTED = {"start", "check", "hint", "grade", "bench", "race", "lab"}

# One build of the site serves them all.
pytestmark = pytest.mark.xdist_group("site")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.timeout(300)
def test_site_builds_strictly(built_site: Path) -> None:
    """A missing file, page, link or anchor would fail the build; every lesson is there."""
    for number in ("01", "02", "03", "04", "05"):
        assert (built_site / "lessons" / number / "index.html").exists()
    assert (built_site / "print" / "index.html").exists()


@pytest.mark.timeout(300)
def test_internal_links_lead_somewhere(built_site: Path) -> None:
    """Every internal link of every page built has its file, and its anchor if it names one."""
    broken = []

    @functools.cache
    def ids_of(file: Path) -> set[str]:
        return set(re.findall(r'\bid="?([^"\s>]+)', file.read_text()))

    for file in built_site.rglob("*.html"):
        if file.name == "404.html":  # its links begin at the server's root
            continue
        prose = re.sub(r"<pre\b.*?</pre>", "", file.read_text(), flags=re.DOTALL)
        for link in re.findall(r'(?:href|src)="([^"]+)"', prose):
            if re.match(r"[a-z]+:", link):
                continue
            path, _, anchor = link.partition("#")
            target = (file.parent / path).resolve() if path else file
            target = target / "index.html" if target.is_dir() else target
            has_anchor = target.suffix != ".html" or not anchor or anchor in ids_of(target)
            if not target.exists() or not has_anchor:
                broken.append(f"{file.relative_to(built_site)}: {link}")
    assert broken == []


def fences(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each fenced block of a page: what stands behind its fence, and its lines."""
    lines = iter(text.splitlines())
    for line in lines:
        if match := re.match(r"\s*(`{3,})(.*)", line):
            code = []
            for inner in lines:
                if inner.strip() == match[1]:
                    break
                code.append(inner)
            yield match[2].strip(), code


@pytest.mark.parametrize("file", PAGES, ids=name)
def test_python_is_included_not_pasted(file: Path) -> None:
    """No Python of more than four lines, and none with a file name, but by {{ include }}."""
    for info, code in fences(file.read_text()):
        if re.match(r"\{? ?\.?(python|py)\b", info):
            assert "title=" not in info, f"a file's code is included by name: {info}"
            assert len([line for line in code if line.strip()]) <= 4, "\n".join(code)


def commands_in(text: str) -> list[str]:
    """Every ./course ... in a code block or between backticks, without what follows as comment."""
    blocks = [line for info, code in fences(text) if "text" not in info for line in code]
    found = [line.strip() for line in blocks if line.strip().startswith("./course")]
    found += re.findall(r"`(\./course[^`\n]*)`", text)
    return [re.split(r" #| {2,}", command)[0] for command in found]


def problem_with(command: str) -> str:
    """What is wrong with a ./course command: an unknown command or option, or a bad chapter."""
    words = [word for word in shlex.split(command)[1:] if word != "&&"]
    known = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    if not words:
        return ""
    if words[0].startswith("-"):
        return "" if words[0] == "--help" else f"no such option: {words[0]}"
    if words[0] not in known:
        return "" if words[0] in EXPECTED else f"no such command: {words[0]}"
    options = {option for parameter in known[words[0]].params for option in parameter.opts}
    options |= {o for parameter in known[words[0]].params for o in parameter.secondary_opts}
    passes_on = known[words[0]].context_settings.get("ignore_unknown_options", False)
    for word in words[1:]:
        if (
            word.startswith("-")
            and not passes_on
            and word.split("=")[0] not in {*options, "--help"}
        ):
            return f"no such option: {word}"
        if re.fullmatch(r"\d\d?", word):
            find_chapter(word)
    return ""


@pytest.mark.parametrize("file", [*PAGES, *READMES], ids=name)
def test_commands_exist(file: Path) -> None:
    """Every ./course line on the site and in the READMEs is a command with those options."""
    problems = {command: problem_with(command) for command in commands_in(file.read_text())}
    assert {command: problem for command, problem in problems.items() if problem} == {}


def test_command_check_can_fail() -> None:
    """The check of commands sees what is wrong."""
    assert problem_with("./course fly 05") == "no such command: fly"
    assert problem_with("./course run 05 --wings") == "no such option: --wings"
    assert problem_with("./course run 05 --port 8020") == ""


@pytest.mark.parametrize("file", PAGES, ids=name)
def test_images_have_a_description(file: Path) -> None:
    """Every image says in words what it shows."""
    assert re.findall(r"!\[\s*\]\([^)]*\)", file.read_text()) == []


def test_screenshots_are_not_stale() -> None:
    """The pictures were taken of the pages as they are: else ./course docs --screenshots."""
    assert json.loads(MADE_FROM.read_text()) == looks()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{{ 05 project/ws/views.py nothing_like_it }}", "there is no 'nothing_like_it'"),
        ("{{ 05 project/no_such_file.py }}", "has no file"),
        ("{{ 99 main.py }}", "There is no chapter"),
        ("{{ main.py }}", "includes nothing"),
    ],
)
def test_wrong_include_fails(built_site: Path, line: str, problem: str) -> None:
    """Code that is not there, under that name, fails the build."""
    importlib.invalidate_caches()  # the site's packages may have come a moment ago
    include = importlib.import_module("course.site.include")
    with pytest.raises(ValueError, match=problem):
        include.expand([line])


@pytest.mark.timeout(300)
def test_include_takes_what_belongs_to_a_function(built_site: Path) -> None:
    """An included function comes with its decorators and the comment above, and what is new."""
    include = importlib.import_module("course.site.include")
    block = include.expand(["  {{ 02 project/subscriptions/views.py start_subscription }}"])
    assert 'title="chapters/02-asyncio/project/subscriptions/views.py"' in block[0]
    assert 'hl_lines="1"' in block[0]
    assert block[1].startswith("  # This view is `def`")
    assert block[2].startswith("  @subscriptions_router.post(")
    assert block[-1] == "  ```"


SCRIPTS = sorted((find_chapter("02").folder / "asyncio_basics").glob("[0-9]*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_lesson_shows_what_the_script_prints(script: Path) -> None:
    """The output that lesson 2 includes is what the script prints, but for times."""
    recorded = DOCS / "recorded" / f"script-{script.name[0]}.txt"
    lesson = (DOCS / "lessons" / "02.md").read_text()
    assert f"asyncio_basics/{script.name} }}}}" in lesson
    assert f"{{{{ recorded {recorded.stem} }}}}" in lesson or script.stem == "8_contextvars"
    if recorded.exists():
        done = subprocess.run(
            [sys.executable, str(script)], capture_output=True, text=True, timeout=30, check=True
        )
        # On a busy machine two lines that are 0.1 s apart may change places.
        assert sorted(without_times(done.stdout)) == sorted(without_times(recorded.read_text()))


def test_recordings_are_not_stale() -> None:
    """What the lessons quote was recorded from the chapters as they are: ./course record."""
    assert [one.name for one in stale()] == []


def test_every_recording_is_shown() -> None:
    """A recording that no page includes is not worth its time."""
    pages = "".join(page.read_text() for page in [*DOCS.glob("*.md"), *DOCS.glob("lessons/*.md")])
    assert [one.name for one in recordings() if f"recorded {one.name} }}}}" not in pages] == []


def test_recorded_pictures_are_those_of_the_recorded_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each picture of a run is drawn from its JSON; chapter 5's has the six numbers of the flow."""
    from course.site import wires

    recorded = wires.PICTURES
    shutil.copytree(recorded, tmp_path / "wires")
    monkeypatch.setattr(wires, "PICTURES", tmp_path / "wires")
    for name in ("01", "02", "03", "04", "05"):
        for picture in wires.draw(name):
            assert picture.read_text() == (recorded / picture.name).read_text(), picture.name
    finished = (recorded / "05-light.svg").read_text()
    assert [number for number in "①②③④⑤⑥" if f">{number}<" not in finished] == []


def test_recorded_runs_stand_beside_each_other() -> None:
    """What both have is in one row; the message at the task's end is chapter 5's alone."""
    from course.site.wires import NoRecordedRun, beside

    rows = beside("04", "05")
    assert any("SUBSCRIBE" in left and "SUBSCRIBE" in right for left, right in rows)
    (alone,) = [left for left, right in rows if "PUBLISH" in right and "SUCCESS" in right]
    assert alone == ""
    with pytest.raises(NoRecordedRun, match="there is one of 01, 02"):
        beside("04", "04.1")


def test_questions_have_one_right_answer() -> None:
    """And at least two wrong ones, each with the reason; two questions open a lesson."""
    for file in (DOCS / "questions").glob("*.toml"):
        found = questions_of(file.stem)
        assert sum(question["where"] == "opening" for question in found) >= 2
        assert all(choice["why"] for question in found for choice in question["choice"])


def without_times(text: str) -> list[str]:
    return re.sub(r"\d\.\d+ s", "N s", text.strip()).splitlines()


@pytest.fixture(scope="module")
def served(built_site: Path) -> Iterator[str]:
    """The site behind a small server of its own."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(built_site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def width_of(page: Page, file: Path, url: str) -> int:
    """Open a page of the site, wait for its diagrams, and see how wide it is."""
    page.goto(url)
    if diagrams := file.read_text().count('class="mermaid"'):
        drawn = "document.querySelectorAll('div.mermaid').length"
        page.wait_for_function(f"{drawn} >= {diagrams}")
    return int(page.evaluate("document.documentElement.scrollWidth"))


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "pages",
    [
        [".", "lessons/0[1-6]", "notebooks/01*", "wires", "numbers"],
        pytest.param(["**"], marks=pytest.mark.thorough),
    ],
    ids=["some", "all"],
)
def test_pages_open_offline(built_site: Path, served: str, page: Page, pages: list[str]) -> None:
    """Each page opens without a console error, draws its diagrams, and asks no other machine."""
    page.set_viewport_size({"width": 375, "height": 800})
    wide = []
    files = {file for pattern in pages for file in built_site.glob(f"{pattern}/index.html")}
    assert len(files) >= 10
    for file in sorted(files):
        path = file.parent.relative_to(built_site).as_posix()
        if path != "print" and width_of(page, file, f"{served}/{path}/") > 375:
            wide.append(path)
    assert wide == []


@pytest.mark.thorough
@pytest.mark.timeout(300)
def test_whole_site_on_one_page_opens_offline(built_site: Path, served: str, page: Page) -> None:
    """So does the page to print, which holds all the others and needs seconds to be laid out."""
    page.set_default_timeout(120_000)
    page.set_viewport_size({"width": 375, "height": 800})
    assert width_of(page, built_site / "print" / "index.html", f"{served}/print/") <= 375


@pytest.mark.timeout(300)
def test_search_finds_offline(served: str, page: Page) -> None:
    """The search works with no other machine's help."""
    page.goto(f"{served}/")
    page.get_by_role("textbox", name="Search").click()
    page.keyboard.type("heartbeat")
    page.locator(".md-search-result__item").first.wait_for()


def test_home_shows_the_costs_of_the_readmes() -> None:
    """The table of costs on the home page holds the numbers that the ladder's tests measure."""
    home = (DOCS / "index.md").read_text()
    for chapter in all_chapters():
        readme = (chapter.folder / "README.md").read_text()
        row = next(line for line in readme.splitlines() if line.endswith("ms late |"))
        assert f"\n| {int(chapter.number)} {row}\n" in home


def test_number_comes_from_the_recorded_results() -> None:
    """A number in a sentence is the one that was measured, and can be multiplied and divided."""
    recorded = json.loads((DOCS / "numbers" / "results.json").read_text())
    median = recorded["apps"]["05"]["figures"]["delay_p50"]["median"]
    path = "apps.05.figures.delay_p50.median"
    assert with_numbers(f"{{{{ number results {path} }}}} ms") == f"{as_text(median)} ms"
    sums = f"{{{{ number results {path} * 3000 / 3 }}}}"
    assert with_numbers(sums) == as_text(median * 1000)
    with pytest.raises(NoNumber, match=r"results.json has no number at apps\.99"):
        with_numbers("{{ number results apps.99 }}")


@pytest.mark.parametrize("file", ["results.json", "publishing.json", "scale.json", "wires.json"])
def test_recorded_results_are_whole(file: str) -> None:
    """What the site shows was not interrupted, and measured what the page says."""
    recorded = json.loads((DOCS / "numbers" / file).read_text())
    assert recorded["is_complete"]
    if file == "results.json":
        peers = {"floor", "ceiling", "sse", "socketio"}
        assert set(recorded["apps"]) == {"01", "02", "03", "04", "05", "06"} | peers
        assert not any(row["verdict"] == "not measured" for row in recorded["targets"])
    if file == "scale.json":
        assert [one["sockets"] for one in recorded["sockets"]][:5] == [100, 500, 1000, 2000, 5000]
