"""Chapter 2, exercise 2: one request waits for several tasks."""

import asyncio
import time
import uuid
from typing import Any

import httpx
import pytest

from course.testkit import NotAsExpected, RunningProject, expect, expect_that, run_async

VIEWS = "project/subscriptions/views.py"


def ask(project: RunningProject, ids: list[str], wait: float | None) -> tuple[Any, float]:
    """Ask for these tasks; return the answer's JSON and the seconds until it came."""
    __tracebackhide__ = True
    question = {"id": ids} | ({} if wait is None else {"wait": wait})
    start = time.monotonic()
    limit = (wait or 0) + 3
    try:
        answer = project.http.get(f"{project.url}/task_statuses", params=question, timeout=limit)
    except httpx.ReadTimeout:
        raise NotAsExpected(
            f"an answer to GET /task_statuses?id=...&wait={wait} within {limit:g} s",
            "none",
            "the view waits for all the tasks, or without looking at its limit",
            VIEWS,
        ) from None
    expect(
        "the status of GET /task_statuses?id=...&id=...",
        answer.status_code,
        200,
        usually="there is no such view, or it does not take `id` several times: list[UUID]",
        look_at=VIEWS,
    )
    return answer.json(), time.monotonic() - start


def test_all_are_answered_in_order(project: RunningProject) -> None:
    """The answer is a list of task statuses, in the order asked for, at once without wait."""
    ids = [str(uuid.uuid4()) for _ in range(20)]
    statuses, seconds = ask(project, ids, wait=None)
    expect("the task ids in the answer", [s["task_id"] for s in statuses], ids, look_at=VIEWS)
    expect("their states", {s["state"] for s in statuses}, {"PENDING"}, look_at=VIEWS)
    expect_that(seconds < 1, "an answer at once", f"one after {seconds:.1f} s", look_at=VIEWS)


def test_first_end_is_answered(project: RunningProject) -> None:
    """The answer comes when the first of the tasks is done, though the others go on."""
    slow, quick = (project.subscribe(f"slow+{n}@example.com") for n in (3, 1))
    statuses, seconds = ask(project, [slow, str(uuid.uuid4()), quick], wait=10)
    expect_that(
        statuses[2]["state"] == "SUCCESS" and statuses[0]["state"] == "STARTED",
        "STARTED for the slow task, SUCCESS for the quick one",
        f"{[s['state'] for s in statuses]} after {seconds:.1f} s",
        usually="the view waits until all are done, or answers before any is",
        look_at=VIEWS,
    )
    statuses, seconds = ask(project, [slow, quick], wait=10)
    expect_that(
        seconds < 0.5,
        "an answer at once, as one of the tasks is done",
        f"one after {seconds:.1f} s",
        usually="the view waits for a change, not for a final state",
        look_at=VIEWS,
    )


def test_wait_has_an_end(project: RunningProject) -> None:
    """Without a change the answer comes when the wait is over, and the page is served meanwhile."""
    url, ids = f"{project.url}/task_statuses", [str(uuid.uuid4()) for _ in range(20)]

    async def crowd() -> tuple[float, float]:
        async with httpx.AsyncClient(timeout=10) as client:
            start = time.monotonic()
            question: dict[str, list[str] | float] = {"id": ids, "wait": 1.5}
            waiting = [asyncio.create_task(client.get(url, params=question)) for _ in range(10)]
            await asyncio.sleep(0.5)  # all have looked, and wait for their next look
            asked = time.monotonic()
            await client.get(f"{project.url}/")
            served = time.monotonic() - asked
            answers = await asyncio.gather(*waiting)
            expect("the status of the answers", {a.status_code for a in answers}, {200})
            return time.monotonic() - start, served

    seconds, page_seconds = run_async(crowd)
    expect_that(
        1.4 < seconds < 4,
        "an answer after the wait of 1.5 s",
        f"one after {seconds:.1f} s",
        usually="the view ignores its limit, or does not wait at all",
        look_at=VIEWS,
    )
    expect_that(
        page_seconds < 0.4,
        "GET / is answered within 0.4 s while ten requests wait",
        f"after {page_seconds:.2f} s",
        usually="the states are looked up on the event loop; asyncio.to_thread takes them off",
        look_at=VIEWS,
    )


@pytest.mark.parametrize(
    "question", ["", "id=1", "&".join(f"id={uuid.uuid4()}" for _ in range(21)), "wait=31"]
)
def test_bad_question_is_refused(project: RunningProject, question: str) -> None:
    """No id, one that is no UUID, 21 of them or a wait that is too long: 422."""
    start = f"id={uuid.uuid4()}&" if question.startswith("wait") else ""
    answer = project.http.get(f"{project.url}/task_statuses?{start}{question}")
    expect(
        f"the status of GET /task_statuses?{question[:30]}",
        answer.status_code,
        422,
        usually="the parameters are not bounded: list[UUID], and Query(min_length=, max_length=)",
        look_at=VIEWS,
    )
