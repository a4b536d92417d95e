"""Settings as the site and compose.yaml have them: the same as in the code."""

import ast
import re
from dataclasses import dataclass

import pytest
import yaml

from course.content.chapters import ROOT, Chapter, all_chapters, find_chapter

PAGE = ROOT / "docs" / "reference.md"


@dataclass
class Row:
    default: str
    since: int  # the first chapter that has the setting


def rows() -> dict[str, Row]:
    table = PAGE.read_text().partition("## Settings")[2].partition("\n## ")[0]
    found = {}
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[-1].isdecimal():
            for name in cells[0].split(", "):
                found[name.strip("`")] = Row(cells[1], int(cells[-1]))
    return found


def settings_of(chapter: Chapter) -> dict[str, ast.expr | None]:
    """The names of the chapter's settings, and what each is by default, as code."""
    tree = ast.parse((chapter.folder / "project" / "config.py").read_text())
    (settings,) = [n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Settings"]
    return {
        field.target.id.upper(): field.value
        for field in settings.body
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
    }


def number_in(value: ast.expr | None) -> int | float | None:
    """The default, if it is a number: Field(default=5, gt=0)."""
    if isinstance(value, ast.Call):
        value = next((k.value for k in value.keywords if k.arg == "default"), None)
    found = value.value if isinstance(value, ast.Constant) else None
    return found if isinstance(found, int | float) else None


@pytest.mark.parametrize("chapter", all_chapters(), ids=str)
def test_every_setting_is_in_the_table(chapter: Chapter) -> None:
    """From the chapter on that the table says; a number is the default that the code has."""
    table = rows()
    for name, value in settings_of(chapter).items():
        assert name in table, f"{PAGE.name} lacks {name}"
        assert table[name].since <= int(chapter.number), name
        number = number_in(value)
        assert number is None or str(number) in re.findall(r"\d+", table[name].default), name


def test_no_setting_is_in_the_table_too_early() -> None:
    """What a chapter does not read is not said of it."""
    for name, row in rows().items():
        first = [c for c in all_chapters() if name in settings_of(c)]
        if first:
            assert int(first[0].number) == row.since, name


def test_compose_has_the_secret_that_production_refuses() -> None:
    """What `docker compose up` uses without SESSION_SECRET is known to all: for development."""
    environment = yaml.safe_load((ROOT / "compose.yaml").read_text())["x-app"]["environment"]
    config = (find_chapter("06").folder / "project" / "config.py").read_text()
    assert environment["ENVIRONMENT"] == "${ENVIRONMENT:-development}"
    (secret,) = re.findall(r'^DEVELOPMENT_SECRET = "(.*)"', config, re.MULTILINE)
    assert environment["SESSION_SECRET"] == f"${{SESSION_SECRET:-{secret}}}"
