"""GitHub's form and workflow are about the course as it is; `run` holds them to their schemas."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from course.content.chapters import ROOT, all_chapters

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def read(path: Path) -> Any:
    return yaml.load(path.read_text(), Loader=yaml.BaseLoader)  # "on" stays a word


def test_issue_form_offers_every_chapter() -> None:
    """The form "I am stuck" lists the chapters that there are, and asks for check and doctor."""
    form = read(ROOT / ".github" / "ISSUE_TEMPLATE" / "stuck.yml")
    fields = {field["id"]: field for field in form["body"] if "id" in field}
    offered = fields["chapter"]["attributes"]["options"]
    assert offered == [str(chapter) for chapter in all_chapters()]
    assert "./course check" in fields["check"]["attributes"]["label"]
    assert "./course doctor --json" in fields["doctor"]["attributes"]["label"]


def test_actions_run_every_chapter_with_every_version() -> None:
    """The workflow has each chapter, both systems, four Pythons, both lock sets, and a week."""
    workflow = read(ROOT / ".github" / "workflows" / "test.yml")
    matrix = workflow["jobs"]["chapters"]["strategy"]["matrix"]
    assert [name.partition("-")[0] for name in matrix["os"]] == ["ubuntu", "macos"]
    assert matrix["python"] == ["3.11", "3.12", "3.13", "3.14"]
    assert matrix["locks"] == ["taught", "current"]
    assert "schedule" in workflow["on"]
    steps = "\n".join(step.get("run", "") for step in workflow["jobs"]["chapters"]["steps"])
    numbers = " ".join(chapter.number for chapter in all_chapters())
    assert f"for chapter in {numbers}; do" in steps


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_have_few_rights(path: Path) -> None:
    """A workflow may read and no more (but publish the site), and pins actions to a commit."""
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["cancel-in-progress"] == "true"
    for name, job in workflow["jobs"].items():
        publishes = {"pages": "write", "id-token": "write"}
        assert job.get("permissions", {}) == (publishes if name == "publish" else {})
        assert "timeout-minutes" in job
        for step in job["steps"]:
            if "uses" in step:
                assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", step["uses"])
