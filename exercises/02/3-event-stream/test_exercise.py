"""Chapter 2, exercise 3: server-sent events."""

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from course.testkit import NotAsExpected, RunningProject, expect, expect_that

VIEWS = "project/subscriptions/views.py"


@contextmanager
def stream(project: RunningProject, task_id: str) -> Iterator[Iterator[dict[str, Any]]]:
    """The task statuses in the events of one answer, as they come."""
    __tracebackhide__ = True
    with project.http.stream("GET", f"{project.url}/task_events/{task_id}", timeout=4) as answer:
        expect(
            "the status of GET /task_events/{task_id}",
            answer.status_code,
            200,
            usually="there is no such view",
            look_at=VIEWS,
        )
        kind = answer.headers.get("content-type", "").partition(";")[0]
        expect("the content type", kind, "text/event-stream", look_at=VIEWS)
        yield statuses_in(answer)


def statuses_in(answer: httpx.Response) -> Iterator[dict[str, Any]]:
    __tracebackhide__ = True
    data = ""
    try:
        for line in answer.iter_lines():
            if line.startswith("data:"):
                data += line.removeprefix("data:")
            elif not line and data:
                yield json.loads(data)
                data = ""
    except httpx.ReadTimeout:
        raise NotAsExpected(
            "an event within 4 s",
            "none that is complete" if data else "none",
            "the events are kept back until the end, the empty line after each is missing, "
            "or the answer does not end after the final state",
            VIEWS,
        ) from None
    except ValueError:
        raise NotAsExpected("a task status as JSON behind data:", repr(data), "", VIEWS) from None


def test_first_event_comes_at_once(project: RunningProject) -> None:
    """The first event comes at once, with the current state, although the answer goes on."""
    start = time.monotonic()
    task_id = str(uuid.uuid4())
    with stream(project, task_id) as statuses:
        first = next(statuses, None)
    expect_that(first is not None, "a first event", "the answer ended without one", look_at=VIEWS)
    seconds = time.monotonic() - start
    seen = {key: (first or {}).get(key) for key in ("task_id", "state")}
    expect("the event", seen, {"task_id": task_id, "state": "PENDING"}, look_at=VIEWS)
    expect_that(seconds < 1, "an event at once", f"one after {seconds:.1f} s", look_at=VIEWS)


def test_every_change_is_an_event(project: RunningProject) -> None:
    """One event at each change, the last one with the result; then the answer ends."""
    with stream(project, project.subscribe("slow+1.2@example.com")) as statuses:
        told = list(statuses)
    states = [status["state"] for status in told]
    expect_that(
        states in (["PENDING", "STARTED", "SUCCESS"], ["STARTED", "SUCCESS"]),
        "one event for each of PENDING (maybe), STARTED and SUCCESS",
        states,
        usually="an event is sent at each look, not at each change",
        look_at=VIEWS,
    )
    expect_that(told[-1].get("result") is not None, "a result", told[-1], look_at=VIEWS)


def test_client_that_leaves_costs_nothing(project: RunningProject) -> None:
    """When clients leave, the server stops looking for them."""
    for _ in range(10):
        with stream(project, str(uuid.uuid4())) as statuses:
            next(statuses)

    project.expect_lookups_to_stop(
        "clients that left",
        within=3,
        usually="something catches the cancellation and goes on, or the looking is a task "
        "of its own that is never cancelled",
        look_at=VIEWS,
    )


def test_bad_id_is_refused(project: RunningProject) -> None:
    """An id that is no UUID is answered with 422."""
    answer = project.http.get(f"{project.url}/task_events/1")
    expect("the status of GET /task_events/1", answer.status_code, 422, look_at=VIEWS)
