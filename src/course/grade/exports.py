"""The outcome of `./course check NN --json` in the formats of Gradescope and GitHub Classroom.

Gradescope: https://gradescope-autograders.readthedocs.io/en/latest/specs/
GitHub Classroom: what its graders hand to `autograding-grading-reporter`, Base64 of JSON.

Each idea is a point. One that could not be judged here, for want of a browser, is left out: it is
neither won nor lost.
"""

import base64
import json
from typing import Any, Literal

from course.content.ideas import NOT_REACHED, PASSED, SKIPPED

Format = Literal["gradescope", "classroom"]


class ExportProblem(Exception):
    """The text is no outcome of a check. The message says what is wrong."""


def read_outcome(text: str) -> dict[str, Any]:
    """What `check --json` has printed. Raises ExportProblem."""
    try:
        data = json.loads(text)
        found: dict[str, Any] = {
            "chapter": str(data["chapter"]),
            "seconds": float(data["seconds"]),
            "problem": str(data["problem"]),
            "ideas": [dict(idea, text=str(idea["text"])) for idea in data["ideas"]],
        }
        if not all(idea["state"] for idea in found["ideas"]):
            raise KeyError("state")
    except (ValueError, KeyError, TypeError) as error:
        raise ExportProblem(
            "This is not what ./course check NN --json prints. "
            f"If the check has printed an error instead, mend that first ({error!r})."
        ) from error
    return found


def export(outcome: dict[str, Any], to: Format) -> str:
    """The outcome as that program reads it."""
    if to == "gradescope":
        return json.dumps(as_gradescope(outcome), indent=2)
    return base64.b64encode(json.dumps(as_classroom(outcome)).encode()).decode()


def judged(outcome: dict[str, Any]) -> list[dict[str, Any]]:
    """The ideas that count. Of a project that could not be checked, none holds."""
    return [idea for idea in outcome["ideas"] if idea["state"] != SKIPPED]


def holds(idea: dict[str, Any], outcome: dict[str, Any]) -> bool:
    return idea["state"] == PASSED and not outcome["problem"]


def why(idea: dict[str, Any], outcome: dict[str, Any]) -> str:
    """What the student reads about an idea that does not hold."""
    if holds(idea, outcome):
        return ""
    if outcome["problem"]:
        return str(outcome["problem"])
    if idea["state"] == NOT_REACHED:
        return "Not reached: an idea before it does not hold."
    lines = [
        f"expected: {idea.get('expected', '')}",
        f"seen: {idea.get('seen', '')}",
        *(f"because: {text}" for text in [*idea.get("because", []), idea.get("usually")] if text),
    ]
    return "\n".join([*lines, *([f"look at: {idea['look_at']}"] if idea.get("look_at") else [])])


def as_gradescope(outcome: dict[str, Any]) -> dict[str, Any]:
    """The content of results.json."""
    ideas = judged(outcome)
    count = sum(holds(idea, outcome) for idea in ideas)
    result: dict[str, Any] = {
        "execution_time": outcome["seconds"],
        "output": outcome["problem"] or f"{count} of {len(ideas)} ideas hold.",
        "tests": [
            {
                "name": idea["text"],
                "score": 1.0 if holds(idea, outcome) else 0.0,
                "max_score": 1.0,
                "output": why(idea, outcome),
            }
            for idea in ideas
        ],
    }
    return result if ideas else result | {"score": 0.0}  # without tests a score is required


def as_classroom(outcome: dict[str, Any]) -> dict[str, Any]:
    """What the reporter reads from the variable NAME_RESULTS, decoded."""
    ideas = judged(outcome)
    is_well = bool(ideas) and all(holds(idea, outcome) for idea in ideas)
    return {
        "version": 1,
        "status": "error" if outcome["problem"] else "pass" if is_well else "fail",
        "max_score": len(ideas),
        "tests": [
            {
                "name": idea["text"],
                "status": "pass" if holds(idea, outcome) else "fail",
                "score": int(holds(idea, outcome)),
                "message": why(idea, outcome),
                "test_code": f"./course check {outcome['chapter'][:2]}",
            }
            for idea in ideas
        ],
    }
