"""Clients that follow a task as each chapter's page does: its page.js and follow.js, in Python."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from course.bench.feeds import DONE, Feed, WebSocketFeed, feed_of
from course.bench.wire import Http, Traffic, WireProblem

INTERVAL = 1.0  # seconds between an answer and the next question: chapter 1
WAIT = 20  # seconds that the server may hold a request: chapter 2
PAUSE = 1.0  # seconds before a long poll is repeated after an error
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0  # seconds before a lost socket is opened again
FOR_GOOD = {DONE, 1013, 4404}  # close codes after which a page does not come back
FINAL = {"SUCCESS", "FAILURE", "REVOKED"}


@dataclass(frozen=True)
class Known:
    """A task that was followed to its end. `at` is when the client knew, in seconds since 1970."""

    task_id: str
    state: str
    at: float


Follow = Callable[[Http, str], Awaitable[Known]]


async def submit(http: Http, email: str) -> str:
    """Send the form, and return the task's id. Raises WireProblem."""
    status, body = await http.request("POST", "/subscriptions", {"email": email})
    if status != 202:
        raise WireProblem(f"POST /subscriptions was answered with {status}: {body}")
    return str(body["task_id"])


async def ask(http: Http, path: str) -> tuple[int, Any]:
    """GET, as the page does: no answer at all is status 0, and it asks again later."""
    try:
        return await http.request("GET", path)
    except WireProblem:
        return 0, None


async def short_polling(http: Http, task_id: str) -> Known:
    while True:
        status, body = await ask(http, f"/task_status/{task_id}")
        if status == 200 and body["state"] in FINAL:
            return Known(task_id, body["state"], time.time())
        await asyncio.sleep(INTERVAL)


async def long_polling(http: Http, task_id: str) -> Known:
    wait = 0
    while True:
        status, body = await ask(http, f"/task_status/{task_id}?wait={wait}")
        if status != 200:
            await asyncio.sleep(PAUSE)
            continue
        if body["state"] in FINAL:
            return Known(task_id, body["state"], time.time())
        wait = WAIT


def by_feed(kind: type[Feed]) -> Follow:
    """Follow the task on a connection of this kind, and open it again when it is lost."""

    async def follow(http: Http, task_id: str) -> Known:
        tries = 0
        while True:
            feed = kind(http.port, task_id, http.traffic, http.cookie)
            try:
                await feed.open()
                while (status := await feed.status()) is not None:
                    tries = 0
                    if status["state"] in FINAL:
                        known = Known(task_id, status["state"], time.time())
                        await feed.close()
                        return known
            except WireProblem:
                pass  # as a lost connection
            finally:
                feed.abort()
            if feed.close_code in FOR_GOOD:
                raise WireProblem(f"the socket was closed with {feed.close_code} before the end")
            await asyncio.sleep(random.random() * min(FIRST_WAIT * 2**tries, LONGEST_WAIT))
            tries += 1

    return follow


websocket = by_feed(WebSocketFeed)


def follow_of(app: str) -> Follow:
    """How the page of this chapter ("01" to "06"), or a peer's client, follows its task."""
    return {"01": short_polling, "02": long_polling}.get(app) or by_feed(feed_of(app))


async def subscribe_and_follow(port: int, follow: Follow, email: str, traffic: Traffic) -> Known:
    """Do what the page does when its form is sent. Raises WireProblem."""
    async with Http(port, traffic) as http:
        return await follow(http, await submit(http, email))
