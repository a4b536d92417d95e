"""Chapter 5, exercise 3: the client is notified when its task starts."""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from course.testkit import Follower, RunningProject, Web, expect, expect_that

CELERY = "project/celery_utils.py"


@pytest.fixture
def patient_web(project: RunningProject) -> Web:
    """A web process that hardly ever polls: it depends on messages."""
    return project.web_with(WS_FALLBACK_POLL_SECONDS="60")


@contextmanager
def task_that_waits(project: RunningProject, web: Web, email: str) -> Iterator[Follower]:
    """Follow a task that has to wait until one of the two pool processes is free."""
    running = [project.subscribe("slow+1@example.com") for _ in range(2)]
    with project.follow(project.subscribe(email), web) as follower:
        expect("the state of a task that waits", follower.next()["state"], "PENDING")
        yield follower
    for task_id in running:
        project.until_final(task_id)


def test_start_is_told_at_once(project: RunningProject, patient_web: Web) -> None:
    """STARTED is sent when a task that had to wait starts, not when it ends."""
    with task_that_waits(project, patient_web, "slow+0.8@example.com") as follower:
        second = follower.next(within=4)
        started = time.monotonic()
        expect(
            "the state after PENDING",
            second["state"],
            "STARTED",
            usually="no process publishes when a task starts; or the handler publishes what the "
            "backend holds, which is not STARTED yet",
            look_at=CELERY,
        )
        expect("the last state", follower.until_final(within=4)["state"], "SUCCESS")
        seconds = time.monotonic() - started
        expect_that(
            seconds > 0.5,
            "STARTED when the task starts, 0.8 s before its end",
            f"{seconds:.1f} s before its end",
            usually="the signal that is used comes after the run: task_prerun comes before it",
            look_at=CELERY,
        )


def test_each_attempt_is_told(project: RunningProject, patient_web: Web) -> None:
    """A task that is tried twice shows STARTED twice, with RETRY between."""
    address = f"busy+1@{uuid.uuid4().hex}.example.com"
    with task_that_waits(project, patient_web, address) as follower:
        follower.until_final(within=6)
        expect(
            "the states that are sent",
            follower.states,
            ["PENDING", "STARTED", "RETRY", "STARTED", "SUCCESS"],
            usually="the start is sent once, or the view leaves out a state that comes again",
            look_at=CELERY,
        )
