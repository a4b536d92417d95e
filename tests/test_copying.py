"""A reader who copies only what the page shows gets there: each check is red before, green after.

The listings are taken from the built site. A listing of a whole file replaces that file; one of
some functions replaces or adds those, and adds the imports that it shows.
"""

import ast
from html.parser import HTMLParser
from pathlib import Path

import pytest

from course.content.chapters import Chapter, all_chapters
from course.content.ideas import ideas_of
from course.content.steps import Step, app_of, own_ideas, steps_of
from course.work.folder import copy_start
from course.work.session import check

DIVIDED = [chapter for chapter in all_chapters() if steps_of(chapter)]


class Listing:
    """A listing of a page: which state and file it is of, and the code."""

    def __init__(self, state: str, file: str, names: str) -> None:
        self.state, self.file, self.names = state, file, names.split()
        self.code = ""


class Listings(HTMLParser):
    """The listings of a page that name their state, in order."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[Listing] = []
        self.depth = self.code = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        if "data-state" in given:
            self.found.append(
                Listing(given["data-state"], given["data-file"], given.get("data-names", ""))
            )
            self.depth = 1
        elif self.depth:
            self.depth += tag not in ("br", "img", "input")
        if self.depth and tag == "code":
            self.code += 1

    def handle_endtag(self, tag: str) -> None:
        if self.depth:
            self.depth -= 1
            self.code -= tag == "code"

    def handle_data(self, data: str) -> None:
        if self.depth and self.code:
            self.found[-1].code += data


def listings_of(chapter: Chapter, site: Path) -> list[Listing]:
    """The listings of a chapter's lesson, in order."""
    return Listings((site / "lessons" / chapter.number / "index.html").read_text()).found


def copy_all(listings: list[Listing], step: Step, work: Path) -> None:
    """Do what a reader does with those of a step."""
    mine = [listing for listing in listings if listing.state == str(step)]
    assert mine, f"the page has no listing of step {step}"
    for listing in mine:
        copy(listing, work)


def copy(listing: Listing, work: Path) -> None:
    """Do what a reader does with it."""
    file = work / listing.file
    file.parent.mkdir(parents=True, exist_ok=True)
    if not listing.names:
        file.write_text(listing.code)
        return
    text = file.read_text()
    shown = ast.parse(listing.code).body
    for node in shown:
        if isinstance(node, ast.Import | ast.ImportFrom):
            text = with_import(text, ast.unparse(node))
    parts = [node for node in shown if not isinstance(node, ast.Import | ast.ImportFrom)]
    names = [name_of(node) for node in parts]
    for number, node in enumerate(parts):
        text = with_part(text, names[number], source_of(listing.code, node), names[number + 1 :])
    file.write_text(text)


def name_of(node: ast.stmt) -> str:
    if isinstance(node, ast.Assign):
        assert isinstance(node.targets[0], ast.Name)
        return node.targets[0].id
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef), ast.dump(node)
    return node.name


def source_of(text: str, node: ast.stmt) -> list[str]:
    first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
    return text.splitlines()[first - 1 : node.end_lineno]


def with_import(text: str, line: str) -> str:
    """Below the module's docstring, unless it is there already."""
    lines = text.splitlines()
    body = ast.parse(text).body
    if any(line == ast.unparse(node) for node in body):
        return text
    below = body[0].end_lineno or 0
    return "\n".join([*lines[:below], line, *lines[below:]]) + "\n"


def with_part(text: str, name: str, code: list[str], before: list[str]) -> str:
    """In the place of what has this name; else above the next that the listing shows, or last."""
    lines = text.splitlines()
    nodes = {
        name_of(node): node
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and (not isinstance(node, ast.Assign) or isinstance(node.targets[0], ast.Name))
    }
    if name in nodes:
        first = nodes[name].lineno - 1
        first = min([first, *(d.lineno - 1 for d in getattr(nodes[name], "decorator_list", []))])
        new = [*lines[:first], *code, *lines[nodes[name].end_lineno :]]
    else:
        after = next((nodes[other] for other in before if other in nodes), None)
        first = len(lines)
        if after:
            decorators = [d.lineno for d in getattr(after, "decorator_list", [])]
            first = min([after.lineno, *decorators]) - 1
        new = [*lines[:first], "", "", *code, "", "", *lines[first:]]
    return "\n".join(new) + "\n"


@pytest.mark.timeout(300)  # whoever comes first builds the site
@pytest.mark.xdist_group("site")
@pytest.mark.parametrize("chapter", DIVIDED, ids=str)
def test_page_shows_every_line(chapter: Chapter, built_site: Path, tmp_path: Path) -> None:
    """What is new in a step's Python files is on the page: imports and constants, too."""
    listings = listings_of(chapter, built_site)
    work = tmp_path / "work"
    copy_start(chapter, work)
    for step in steps_of(chapter):
        copy_all(listings, step, work)
        for file, path in app_of(step).items():
            if file.endswith(".py"):
                there = statements(work / file) if (work / file).exists() else set()
                assert statements(path) - there == set(), f"{file}, after step {step}"


def statements(file: Path) -> set[str]:
    """A module's statements, each name that it imports for itself; no comments, no docstring."""
    found = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue  # the docstring
        if isinstance(node, ast.ImportFrom):
            found |= {f"from {node.module} import {name.name}" for name in node.names}
        else:
            found.add(ast.unparse(node))
    return found


@pytest.mark.gallery
@pytest.mark.xdist_group("site")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("chapter", DIVIDED, ids=str)
def test_reader_who_copies_gets_there(chapter: Chapter, built_site: Path, tmp_path: Path) -> None:
    """Step by step: the step's ideas fail, what the page shows is copied, and they hold."""
    listings = listings_of(chapter, built_site)
    work = tmp_path / "work"
    copy_start(chapter, work)
    for step in steps_of(chapter):
        red = check(own_ideas(step), work, stop_at_first=False, limit=200)
        chance = set(step.may_hold_before)
        hold = {decision.idea.key for decision in red.of("passed")}
        assert hold <= chance, f"before step {step}: {hold} hold already"
        copy_all(listings, step, work)
        green = check(own_ideas(step), work, stop_at_first=False, limit=200)
        assert not green.of("failed"), (str(step), green.of("failed"), green.problem)
        assert len(green.of("passed")) == len(step.idea_keys), (str(step), green.problem)
    whole = check(ideas_of(chapter), work, stop_at_first=False, limit=300)
    assert (whole.of("failed"), whole.problem) == ([], "")


def test_part_takes_its_place() -> None:
    """A function in its own place; a constant above the function that the listing shows next."""
    text = with_part(
        '"""Doc."""\n\n\ndef f():\n    return 1\n', "f", ["def f():", "    return N"], []
    )
    text = with_part(text, "N", ["N = 2"], ["f"])
    space: dict[str, object] = {}
    exec(with_import(text, "import os"), space)
    assert space["N"] == 2
    assert "os" in space
