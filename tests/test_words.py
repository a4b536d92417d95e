"""Standard technical English: no word of our own where the field has a term for it.

tests/words.toml has the words with the better one beside each. The list of pages grows: what
has been written anew is in it.
"""

import re
import tomllib
from pathlib import Path

import pytest

from course.content.chapters import ROOT

BETTER = tomllib.loads((ROOT / "tests" / "words.toml").read_text())["better"]
PAGES = [
    *(ROOT / "docs" / "lessons" / f"{number}.md" for number in ("01", "02", "03")),
    *sorted((ROOT / "docs" / "questions").glob("*.toml")),
    *sorted((ROOT / "chapters").glob("*/steps/*/step.toml")),
    *(ROOT / "src" / "course" / "content" / name for name in ("steps.py", "spread.py")),
    *(
        ROOT / "src" / "course" / "site" / f"{name}.py"
        for name in ("record", "recorded", "questions")
    ),
]
CODE = re.compile(r"```.*?```|`[^`]*`|\{\{.*?\}\}|_told|told_", re.DOTALL)


def private_words(text: str) -> list[str]:
    """Each private word in the prose, with the better one."""
    prose = CODE.sub(" ", text)
    return [
        f"{found[0]!r}: better {better}"
        for word, better in BETTER.items()
        for found in re.finditer(word, prose, re.IGNORECASE)
    ]


@pytest.mark.parametrize("file", PAGES, ids=lambda file: str(file.relative_to(ROOT)))
def test_page_uses_standard_terms(file: Path) -> None:
    """A reader can search the web for each term."""
    assert private_words(file.read_text()) == []


def test_private_word_is_found() -> None:
    """In prose, not in code."""
    assert private_words("Nobody is told the news.") == [
        "'told': better notified, or: shows",
        "'news': better message, change of the state",
        "'Nobody': better no client, no process",
    ]
    assert private_words("`send_news` in\n```\ntold\n```") == []
