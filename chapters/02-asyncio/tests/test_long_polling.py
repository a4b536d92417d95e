"""Chapter 2: the request waits, and one process holds hundreds of them."""

import asyncio
import json
import signal
import time
import uuid
from contextlib import suppress

import httpx
import pytest
from playwright.sync_api import Page, Request
from playwright.sync_api import expect as expect_page

from course.processes import HOST, wait_for
from course.testkit import (
    NotAsExpected,
    RunningProject,
    Web,
    eventually,
    expect,
    expect_that,
    run_async,
)

VIEWS = "project/subscriptions/views.py"
FOLLOW = "project/subscriptions/static/follow.js"
WAITERS = 100  # more than FastAPI has threads


def long_poll(
    project: RunningProject, task_id: str, wait: float, within: float
) -> tuple[str, float]:
    """Ask with ?wait=; return the state and the seconds until the answer."""
    __tracebackhide__ = True
    start = time.monotonic()
    url = f"{project.url}/task_status/{task_id}"
    try:
        answer = project.http.get(url, params={"wait": wait}, timeout=within)
    except httpx.ReadTimeout:
        raise NotAsExpected(
            f"an answer to GET /task_status?wait={wait} within {within:g} s",
            "none",
            "the view waits without looking at its limit, or for a change that will not come",
            VIEWS,
        ) from None
    expect(f"the status of GET /task_status with wait={wait}", answer.status_code, 200)
    return str(answer.json()["state"]), time.monotonic() - start


def test_answer_waits_for_the_end(project: RunningProject) -> None:
    """With ?wait=20 the answer waits for the task's end, and comes soon after it."""
    task_id = project.subscribe("slow+2@example.com")
    eventually(
        lambda: project.status(task_id)["state"],
        lambda s: s == "STARTED",
        "the task's state is STARTED",
        within=5,
    )
    state, seconds = long_poll(project, task_id, wait=20, within=8)
    expect(
        "the state in an answer that waited",
        state,
        "SUCCESS",
        usually="the view does not look at `wait`, and answers at once",
        look_at=VIEWS,
    )
    expect_that(seconds < 4, "an answer within 1 s of the end", f"one after {seconds:.1f} s")


def test_answer_waits_no_longer_than_asked(project: RunningProject) -> None:
    """Without a change the answer comes when the wait is over."""
    task_id = str(uuid.uuid4())
    with project.watch_lookups(task_id) as lookups:
        state, seconds = long_poll(project, task_id, wait=1, within=4)
        asked = lookups()
    expect("the state of an unknown task", state, "PENDING")
    expect_that(
        0.9 <= seconds < 2.5,
        "an answer after the wait of 1 s",
        f"one after {seconds:.1f} s",
        usually="the view ignores its limit, or does not wait at all",
        look_at=VIEWS,
    )
    expect_that(
        asked <= 20,
        "at most 20 queries of Redis in a wait of 1 s",
        f"{asked} queries",
        usually="the view does not wait between two queries: await asyncio.sleep(...)",
        look_at=VIEWS,
    )


def test_answer_without_wait_comes_at_once(project: RunningProject) -> None:
    """Without ?wait= the answer comes at once, as in chapter 1."""
    start = time.monotonic()
    project.status(str(uuid.uuid4()))
    seconds = time.monotonic() - start
    expect_that(
        seconds < 1.5,
        "an answer at once",
        f"one after {seconds:.1f} s",
        usually="the view waits unasked, or something blocks the event loop",
        look_at=VIEWS,
    )


def test_final_state_is_answered_at_once(project: RunningProject) -> None:
    """A task that is done is answered at once, however long the client would wait."""
    task_id = project.subscribe("slow+0.1@example.com")
    project.until_final(task_id)
    state, seconds = long_poll(project, task_id, wait=20, within=4)
    expect("the state", state, "SUCCESS")
    expect_that(seconds < 1.5, "an answer at once", f"one after {seconds:.1f} s", look_at=VIEWS)


@pytest.mark.parametrize("wait", ["-1", "31", "1e9", "nan", "soon"])
def test_bad_wait_is_refused(project: RunningProject, wait: str) -> None:
    """A wait that is out of bounds is answered with 422."""
    url = f"{project.url}/task_status/{uuid.uuid4()}"
    answer = httpx.get(url, params={"wait": wait}, timeout=5)
    expect(
        f"the status with wait={wait}",
        answer.status_code,
        422,
        usually="the parameter is a plain float: Query(ge=0, le=30) bounds it",
        look_at=VIEWS,
    )


def test_hundreds_wait_on_one_process(project: RunningProject) -> None:
    """100 requests wait at once, the page is served meanwhile, and all learn the end."""
    web = project.another_web()
    project.newsletter.signal(signal.SIGSTOP)  # the task runs until it may go on
    try:
        task_id = project.subscribe("slow+0.1@example.com")
        eventually(
            lambda: project.status(task_id)["state"],
            lambda state: state == "STARTED",
            "the task's state is STARTED",
            within=5,
        )
        states, spread = run_async(lambda: crowd(project, web, task_id))
    except NotAsExpected:
        web.process.kill()  # what blocks it would block it for the next test, too
        raise
    finally:
        project.newsletter.signal(signal.SIGCONT)
    expect(
        f"the states that {WAITERS} waiters learn",
        states,
        {"SUCCESS"},
        usually="the wait ends without a change before the task does: the waiters block each other",
        look_at=VIEWS,
    )
    expect_that(
        spread < 3,
        "answers to all within 3 s",
        f"within {spread:.1f} s",
        usually="the waiters block each other: what blocks belongs in asyncio.to_thread()",
        look_at=VIEWS,
    )


async def crowd(project: RunningProject, web: Web, task_id: str) -> tuple[set[str], float]:
    """Wait WAITERS times; meanwhile load the page, then let the task end.

    Returns the states learned, and the seconds from the first answer to the last.
    """
    __tracebackhide__ = True
    waiting = [asyncio.create_task(waiter(web.port, task_id)) for _ in range(WAITERS)]
    await asyncio.sleep(1)  # all are connected
    served = 0
    with suppress(httpx.TimeoutException):
        for _ in range(10):
            await asyncio.to_thread(project.http.get, f"{web.url}/", timeout=3)
            served += 1
    expect_that(
        served == 10,
        f"GET / within 3 s, ten times, while {WAITERS} requests wait",
        f"{served} times",
        usually="the waiting blocks the event loop, or holds a thread each: "
        "await asyncio.sleep(), and asyncio.to_thread() for what blocks",
        look_at=VIEWS,
    )
    project.newsletter.signal(signal.SIGCONT)
    answers = await asyncio.gather(*waiting)
    ended = [at for _, at in answers]
    return {state for state, _ in answers}, max(ended) - min(ended)


async def waiter(port: int, task_id: str) -> tuple[str, float]:
    """Ask with ?wait=20; return the state in the answer, and when it came.

    By hand: an HTTP library would itself need a second for so many answers.
    """
    reader, writer = await asyncio.open_connection(HOST, port)
    question = f"GET /task_status/{task_id}?wait=20 HTTP/1.1\r\nHost: {HOST}\r\n"
    writer.write(f"{question}Connection: close\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 30)
    ended = time.monotonic()
    writer.close()
    return str(json.loads(answer.partition(b"\r\n\r\n")[2])["state"]), ended


def test_blocking_reads_stay_off_the_loop(project: RunningProject) -> None:
    """While Redis is frozen and requests wait, the page is served: nothing blocks the loop."""
    waiting = [f"{project.url}/task_status/{uuid.uuid4()}" for _ in range(10)]

    async def come_while_redis_is_frozen() -> int:
        answers = 0
        async with httpx.AsyncClient(timeout=10) as client:
            before = project.calls("get")
            polls = [asyncio.create_task(client.get(url, params={"wait": 5})) for url in waiting]
            # All have looked once, and wait for their next look.
            await asyncio.to_thread(wait_for, lambda: project.calls("get") >= before + 10, 3)
            project.redis.signal(signal.SIGSTOP)
            try:
                await asyncio.sleep(0.6)
                # Each query is given up after a second. On the loop, one would wait for the other.
                with suppress(TimeoutError):
                    async with asyncio.timeout(4):
                        while answers < 4:
                            await client.get(f"{project.url}/")
                            answers += 1
            finally:
                project.redis.signal(signal.SIGCONT)
            await asyncio.gather(*polls)
        return answers

    answers = run_async(come_while_redis_is_frozen)
    expect_that(
        answers == 4,
        "GET / is answered four times within 4 s while Redis is frozen",
        f"answered {answers} times",
        usually="the state is looked up on the event loop; asyncio.to_thread takes it off",
        look_at=VIEWS,
    )


def test_client_that_gives_up_costs_nothing(project: RunningProject) -> None:
    """When a client gives up, the server stops looking for it."""
    urls = [f"{project.url}/task_status/{uuid.uuid4()}" for _ in range(20)]

    async def give_up(client: httpx.AsyncClient, url: str) -> None:
        try:
            await client.get(url, params={"wait": 20}, timeout=0.3)
        except httpx.TimeoutException:
            return

    async def crowd() -> None:
        async with httpx.AsyncClient(limits=httpx.Limits(max_connections=None)) as client:
            await asyncio.gather(*(give_up(client, url) for url in urls))

    run_async(crowd)

    project.expect_lookups_to_stop(
        "clients that gave up",
        within=4,
        usually="the view does not learn that its client is gone: "
        "ask request.is_disconnected() before each look",
        look_at=VIEWS,
    )


def test_page_needs_few_requests(project: RunningProject, page: Page) -> None:
    """For a task of two seconds the page makes one POST and three or four GETs, one at a time."""
    asked: list[str] = []
    page.goto(project.url)

    def on_request(request: Request) -> None:
        if request.resource_type in ("fetch", "xhr"):
            asked.append(f"{request.method} {request.url.removeprefix(project.url)}")

    page.on("request", on_request)
    page.get_by_label("e-mail").fill("slow+2@example.com")
    page.get_by_role("button").click()
    expect_page(page.get_by_role("status")).to_contain_text("SUCCESS")
    gets = [request for request in asked if request.startswith("GET")]
    expect_that(
        all("wait=" in url for url in gets),
        "GETs with ?wait=, the seconds that the server may wait",
        gets[-1] if gets else "no GET",
        usually="the page still polls once a second, or gives the parameter another name",
        look_at=FOLLOW,
    )
    expect_that(
        2 <= len(gets) <= 4,
        "two to four GETs",
        f"{len(gets)} of them",
        usually="the page still polls, or asks again without letting the server wait",
        look_at=FOLLOW,
    )
    expect_page(page.locator("#totals")).to_contain_text(f"{1 + len(gets)} requests, ")
