"""`./course grade --page`: the table of a class in the browser, row by row."""

import json
import re
from pathlib import Path

import httpx
import pytest
from command import course
from playwright.sync_api import Page, expect

from course.content.chapters import find_chapter
from course.content.edits import Edit, copy_app
from course.grade.results import Results, Row
from course.learn.class_page import class_page
from course.testkit.browser import axe_violations, save_screenshot


def test_rows_appear_as_they_are_graded(tmp_path: Path, page: Page, troubles: list[str]) -> None:
    """All projects are there from the start; text of a project is text; it says when it ends."""
    results = Results(tmp_path / "results.csv")
    results.add(Row("ann", "04", "yes", "40 of 40"))
    with class_page(results, ["ann", "bob", "cyd"]) as (address, note_row):
        assert httpx.get(re.sub(r"enter.*", "", address)).status_code == 403
        page.goto(address)
        rows = page.locator("#rows tr")
        expect(rows).to_have_count(3)
        expect(rows.nth(0)).to_contain_text("✓ yes")
        expect(rows.nth(1)).to_contain_text("waiting")
        seen = "<img src=x onerror=alert(1)>"
        results.add(Row("bob", "04", "no", "3 of 40", "The page is served.", "200", seen))
        note_row()
        expect(rows.nth(1)).to_contain_text(f"The page is served. Seen: {seen}")
        expect(page.locator("#count")).to_have_text("2 of 3 graded, 1 passed.")
        for scheme in ("light", "dark"):
            for name, width in (("desktop", 1280), ("phone", 390)):
                page.emulate_media(color_scheme=scheme)
                page.set_viewport_size({"width": width, "height": 844})
                assert page.evaluate("document.documentElement.scrollWidth") == width
                save_screenshot(page, f"class-{name}-{scheme}")
                assert axe_violations(page) == []
    expect(page.locator("#connection")).to_contain_text("./course grade has ended")
    expect(rows).to_have_count(3)
    page.goto("about:blank")
    troubles.clear()  # the browser notes each try to connect that fails


@pytest.mark.timeout(90)
def test_command_says_where_the_page_is(tmp_path: Path) -> None:
    """The address is printed; the row is the same as without the page."""
    main = Edit("main.py", new="def begun(\n")
    copy_app(find_chapter("01").folder, tmp_path / "class" / "ann", [main])
    options = ("--chapter", "01", "--out", tmp_path / "results.csv", "--page")
    # BROWSER is a program that opens nothing.
    done = course("grade", tmp_path / "class", *options, limit=80, BROWSER="true")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"The table, row by row: http://127\.0\.0\.1:\d+/enter\?token=", done.stdout)
    rows = Results(tmp_path / "results.csv").rows
    assert (rows["ann"].passed, rows["ann"].chapter) == ("no", "01"), json.dumps(rows["ann"].seen)
