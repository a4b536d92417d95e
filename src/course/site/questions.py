"""Questions with several choices, answered before the answer is shown.

docs/questions/02.toml holds those of lesson 2; on a page, {{ questions 02 opening }} shows those
with `where = "opening"`. Each choice is a <details> element: opening it says whether it is right,
and why. That works without JavaScript and with the keyboard; docs/assets/quiz.js keeps what was
chosen.
"""

import re
import tomllib
from html import escape
from typing import Any

from course.content.chapters import ROOT

QUESTIONS = ROOT / "docs" / "questions"
INCLUDE = re.compile(r"^\{\{ questions (?P<lesson>\d\d) (?P<where>\w+) \}\}$")


class NoQuestion(ValueError):
    """A page includes questions that there are not, or one of them is not as it should be."""


def questions_of(lesson: str) -> list[dict[str, Any]]:
    """The questions of a lesson. Raises NoQuestion if one has not got exactly one right choice."""
    file = QUESTIONS / f"{lesson}.toml"
    if not file.exists():
        raise NoQuestion(f"there is no {file.relative_to(ROOT)}")
    found = list(tomllib.loads(file.read_text())["question"])
    for question in found:
        right = [choice for choice in question["choice"] if choice.get("right")]
        if len(right) != 1 or len(question["choice"]) < 3:
            raise NoQuestion(f"not three choices and one right one: {question['text']}")
    return found


def with_questions(lines: list[str]) -> list[str]:
    """Replace each include of questions by them. Raises NoQuestion."""
    result = []
    for line in lines:
        if match := INCLUDE.match(line):
            chosen = [
                (number, question)
                for number, question in enumerate(questions_of(match["lesson"]), start=1)
                if question["where"] == match["where"]
            ]
            if not chosen:
                raise NoQuestion(f"lesson {match['lesson']} has no questions {match['where']}")
            for number, question in chosen:
                result += ["", *as_html(f"{match['lesson']}-{number}", question), ""]
        else:
            result.append(line)
    return result


def as_html(name: str, question: dict[str, Any]) -> list[str]:
    """One block of HTML, without empty lines: Markdown leaves it as it is."""
    lines = [
        f'<div class="quiz" data-question="{name}" role="group" aria-labelledby="question-{name}">',
        f'<p id="question-{name}">{inline(question["text"])}</p>',
    ]
    for choice in question["choice"]:
        is_right = bool(choice.get("right"))
        verdict = "Right." if is_right else "Not quite."
        lines.append(
            f'<details data-right="{str(is_right).lower()}"><summary>{inline(choice["text"])}'
            f"</summary><p><strong>{verdict}</strong> {inline(choice['why'])}</p></details>"
        )
    return [*lines, "</div>"]


def inline(text: str) -> str:
    """`code` is all the Markdown that questions need."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(" ".join(text.split()), quote=False))
