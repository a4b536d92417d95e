"""Broken on purpose, and right in another way: what should fail fails, what should pass passes.

The variants are data, in broken/ and right/: small changes to a chapter. They take minutes, so they
run only when asked for: ./course test -m gallery
"""

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from course.content.chapters import find_chapter
from course.content.edits import Edit, copy_app
from course.content.ideas import ideas_of
from course.work.session import Result, check

HERE = Path(__file__).parent


def variants(folder: str) -> list[Any]:
    return [
        pytest.param(file.stem, variant, id=f"{file.stem}-{variant['name'].replace(' ', '-')}")
        for file in sorted((HERE / folder).glob("*.toml"))
        for variant in tomllib.loads(file.read_text())["variant"]
    ]


def made(number: str, variant: dict[str, Any], target: Path) -> Path:
    edits = [Edit.read(edit) for edit in variant["edits"]]
    copy_app(find_chapter(number).folder, target, edits)
    return target


def may_fail_first(variant: dict[str, Any]) -> set[str]:
    """One idea, or several of which the machine's speed decides; none of a right variant."""
    named = variant.get("test", [])
    return {named} if isinstance(named, str) else set(named)


def said(result: Result) -> str:
    first = result.first_failed
    return f"{result.problem}\n{first.failure if first else ''}"


def test_gallery_is_large_enough() -> None:
    """At least 40 broken variants, of every chapter, and at least 10 right ones."""
    broken = variants("broken")
    assert len(broken) >= 40
    assert {parameters.values[0] for parameters in broken} == {"01", "02", "03", "04", "05", "06"}
    assert len(variants("right")) >= 10


@pytest.mark.parametrize(("number", "variant"), variants("broken") + variants("right"))
def test_variant_fits_its_chapter(number: str, variant: dict[str, Any], tmp_path: Path) -> None:
    """Each change finds its place in the chapter of today, and names an idea of it."""
    made(number, variant, tmp_path / "app")
    assert may_fail_first(variant) <= keys_of(number)


@cache
def keys_of(number: str) -> set[str]:
    return {idea.key for idea in ideas_of(find_chapter(number))}


@pytest.mark.gallery
@pytest.mark.timeout(120)
@pytest.mark.parametrize(("number", "variant"), variants("broken"))
def test_broken_variant_fails(number: str, variant: dict[str, Any], tmp_path: Path) -> None:
    """The named test fails first, with the words that help, and not by an accident of the kit."""
    ideas = ideas_of(find_chapter(number))
    # What comes after the named test is not reached: it need not be run to see that.
    first = may_fail_first(variant)
    until = max(n for n, idea in enumerate(ideas, 1) if idea.key in first)
    result = check(ideas[:until], made(number, variant, tmp_path / "app"))
    assert result.first_failed, f"nothing failed: {said(result)}"
    assert result.first_failed.idea.key in first, said(result)
    for word in variant["words"]:
        assert re.search(word, said(result)), f"{word!r} is not in:\n{said(result)}"
    failure = result.first_failed.failure
    assert failure
    assert failure.usually or failure.because, said(result)
    assert "that cannot be read" not in said(result)


@pytest.mark.gallery
@pytest.mark.timeout(120)
@pytest.mark.parametrize(("number", "variant"), variants("right"))
def test_right_variant_passes(number: str, variant: dict[str, Any], tmp_path: Path) -> None:
    """Another structure, other names, other libraries: what behaves rightly passes."""
    result = check(ideas_of(find_chapter(number)), made(number, variant, tmp_path / "app"))
    assert result.exit_code == 0, said(result)
