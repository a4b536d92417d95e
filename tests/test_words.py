"""Standard technical English: no word of our own where the field has a term for it.

tests/words.toml has the words with the better one beside each, and the files that may use one of
them for what it really means: chapter 6's server does send a heartbeat.
"""

import json
import re
import tomllib
from pathlib import Path

import pytest

from course.content.chapters import ROOT

WORDS = tomllib.loads((ROOT / "tests" / "words.toml").read_text())
BETTER, ALLOWED = WORDS["better"], WORDS["allowed"]
PLACES = [
    "*.md",
    "chapters/*/README.md",
    "chapters/*/steps/*/step.toml",
    "docs/*.md",
    "docs/lessons/*.md",
    "docs/questions/*.toml",
    "docs/under/*.md",
    "exercises/*/*/README.md",
    "exercises/*/*/hints.toml",
    "notebooks/*.ipynb",
    "src/course/cli/*.py",
    "src/course/content/*.py",
    "src/course/content/*/*.toml",
    "src/course/learn/*.py",
    "src/course/site/*.py",
    "src/course/work/*.py",
]
GENERATED = {"docs/print.md"}
PAGES = [
    file
    for place in PLACES
    for file in sorted(ROOT.glob(place))
    if file.relative_to(ROOT).as_posix() not in GENERATED
]
CODE = re.compile(r"```.*?```|`[^`]*`|\{\{.*?\}\}|_told|told_", re.DOTALL)


def private_words(text: str, allowed: str = "") -> list[str]:
    """Each private word in the prose, with the better one."""
    prose = CODE.sub(" ", text)
    return [
        f"{found[0]!r}: better {better}"
        for word, better in BETTER.items()
        for found in re.finditer(word, prose, re.IGNORECASE)
        if found[0].lower() != allowed
    ]


def prose_of(file: Path) -> str:
    """A file's text; of a notebook, what its cells of text say."""
    text = file.read_text()
    if file.suffix != ".ipynb":
        return text
    cells = json.loads(text)["cells"]
    return "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")


@pytest.mark.parametrize("file", PAGES, ids=lambda file: str(file.relative_to(ROOT)))
def test_page_uses_standard_terms(file: Path) -> None:
    """A reader can search the web for each term."""
    allowed = ALLOWED.get(file.relative_to(ROOT).as_posix(), "")
    assert private_words(prose_of(file), allowed) == []


def test_private_word_is_found() -> None:
    """In prose, not in code."""
    assert private_words("Nobody is told the news.") == [
        "'told': better notified, or: shows",
        "'news': better message, change of the state",
        "'Nobody': better no client, no process",
    ]
    assert private_words("`send_news` in\n```\ntold\n```") == []
