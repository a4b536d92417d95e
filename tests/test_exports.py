"""`./course export`: a check's outcome as Gradescope and GitHub Classroom read it."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from course.cli.app import app
from course.content.chapters import ROOT, find_chapter
from course.content.ideas import FAILED, NOT_REACHED, PASSED, SKIPPED, ideas_of
from course.content.steps import copy_state, find_state
from course.grade.exports import ExportProblem, as_classroom, as_gradescope, read_outcome
from course.testkit.events import Failure
from course.work.output import as_data
from course.work.session import Decision, Result

CLASSROOM = ROOT / "deploy" / "classroom"
CHAPTER = find_chapter("01")
# What Gradescope's specification names for a test, and at the top.
TEST_FIELDS = {"score", "max_score", "name", "number", "output", "tags", "visibility", "extra_data"}
TOP_FIELDS = {"score", "execution_time", "output", "visibility", "stdout_visibility", "extra_data",
              "tests", "leaderboard"}  # fmt: skip


def outcome(*states: str, problem: str = "") -> dict[str, Any]:
    """What a check with these results prints, and read again."""
    decisions = [
        Decision(idea, state) for idea, state in zip(ideas_of(CHAPTER), states, strict=False)
    ]
    for decision in decisions:
        if decision.state == FAILED:
            decision.failure = Failure("202", "200", ["the view waits"], "start a task", "a.py:3")
    result = Result(decisions, 7.5, problem)
    return read_outcome(json.dumps(as_data(CHAPTER, Path("mine"), result)))


def test_gradescope_gets_a_point_for_each_idea() -> None:
    """Scores, the text of a failure, and no field that its specification does not name."""
    data = as_gradescope(outcome(PASSED, FAILED, NOT_REACHED, SKIPPED))
    assert data.keys() <= TOP_FIELDS
    assert all(test.keys() <= TEST_FIELDS for test in data["tests"])
    assert [test["score"] for test in data["tests"]] == [1.0, 0.0, 0.0], "not the skipped one"
    assert {test["max_score"] for test in data["tests"]} == {1.0}
    assert data["execution_time"] == 7.5
    assert data["output"] == "1 of 3 ideas hold."
    failed = data["tests"][1]["output"].splitlines()
    assert failed == ["expected: 202", "seen: 200", "because: the view waits",
                      "because: start a task", "look at: a.py:3"]  # fmt: skip
    assert data["tests"][2]["output"].startswith("Not reached")


def test_classroom_gets_what_its_reporter_reads() -> None:
    """Its reporter takes max_score, and status, score and message of each test."""
    data = as_classroom(outcome(PASSED, FAILED, NOT_REACHED))
    assert (data["status"], data["max_score"]) == ("fail", 3)
    assert [(test["status"], test["score"]) for test in data["tests"]] == [
        ("pass", 1), ("fail", 0), ("fail", 0),
    ]  # fmt: skip
    assert "seen: 200" in data["tests"][1]["message"]
    assert as_classroom(outcome(PASSED, PASSED))["status"] == "pass"


def test_work_that_could_not_be_checked_has_no_point() -> None:
    """The problem is what the student reads."""
    ended = outcome(PASSED, NOT_REACHED, problem="The project was ended. It wrote 1 GiB.")
    gradescope, classroom = as_gradescope(ended), as_classroom(ended)
    assert sum(test["score"] for test in gradescope["tests"]) == 0
    assert gradescope["output"] == "The project was ended. It wrote 1 GiB."
    assert classroom["status"] == "error"
    assert {test["message"] for test in classroom["tests"]} == {gradescope["output"]}
    assert as_gradescope(outcome())["score"] == 0.0, "required where there are no tests"


@pytest.mark.parametrize("text", ["", "Error: no", "[]", '{"chapter": "01"}'])
def test_other_text_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ExportProblem, match=r"not what \./course check NN --json prints"):
        read_outcome(text)
    done = CliRunner().invoke(app, ["export", "classroom"], input=text)
    assert done.exit_code == 2
    assert "not what ./course check" in " ".join(done.stderr.split())


def test_workflow_hands_the_result_to_the_reporter() -> None:
    """The reporter reads NAME_RESULTS for each name in `runners`: Base64 of JSON."""
    workflow = yaml.safe_load((CLASSROOM / "github/.github/workflows/classroom.yml").read_text())
    steps = workflow["jobs"]["run-autograding-tests"]["steps"]
    reporter, check = steps[-1], steps[-2]
    runners = reporter["with"]["runners"]
    assert check["id"] == runners
    result = f"${{{{ steps.{runners}.outputs.result }}}}"
    assert reporter["env"] == {f"{runners.upper()}_RESULTS": result}
    text = json.dumps(as_data(CHAPTER, Path("mine"), Result([])))
    printed = CliRunner().invoke(app, ["export", "classroom"], input=text).stdout
    assert "\n" not in printed.strip(), "an output of a step is one line"
    assert json.loads(base64.b64decode(printed))["tests"] == []


@pytest.mark.thorough
@pytest.mark.timeout(200)
@pytest.mark.parametrize("target", ["gradescope", "classroom"])
def test_real_submission(target: str, tmp_path: Path) -> None:
    """The script of each, as it stands in deploy/, on the app of step 01.1."""
    copy_state(find_state("01.1"), tmp_path / "submission")
    (tmp_path / "source").mkdir()
    (tmp_path / "results").mkdir()
    for name in ("source/course", "course"):
        (tmp_path / name).symlink_to(ROOT)
    env = {name: value for name, value in os.environ.items() if name != "REDIS_URL"}
    env |= {"CHAPTER": "01", "AUTOGRADER": str(tmp_path), "PYTHON": sys.executable}
    output = tmp_path / "output"
    if target == "gradescope":
        command = [str(CLASSROOM / "gradescope" / "run_autograder")]
    else:
        workflow = yaml.safe_load(
            (CLASSROOM / "github/.github/workflows/classroom.yml").read_text()
        )
        step = next(s for s in workflow["jobs"]["run-autograding-tests"]["steps"] if "run" in s)
        script = step["run"].replace("check.json", str(tmp_path / "check.json"))
        script = script.replace("../submission", str(tmp_path / "submission"))
        command = ["bash", "-e", "-c", script]
        env["GITHUB_OUTPUT"] = str(output)
    done = subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=190, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if target == "gradescope":
        data = json.loads((tmp_path / "results" / "results.json").read_text())
        points = {test["name"]: test["score"] for test in data["tests"]}
    else:
        encoded = output.read_text().removeprefix("result=")
        data = json.loads(base64.b64decode(encoded))
        points = {test["name"]: test["score"] for test in data["tests"]}
    assert points["The page with the form is served at /."] == 1
    assert 1 < sum(points.values()) < len(points)
