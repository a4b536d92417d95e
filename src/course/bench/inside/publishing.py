"""Loaded into a worker with --include: tasks that measure, where tasks end, what publishing costs.

A worker imports this; the tool does not. It sends Celery's own signal, as Celery does at the end of
a task, so it runs whatever handler the app has connected, and knows nothing of the app.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import redis
from asgiref.sync import async_to_sync
from broadcaster import Broadcast
from celery import current_app, shared_task
from celery.signals import task_postrun

URL = os.environ["REDIS_URL"]
made: dict[int, dict[str, Callable[[str], None]]] = {}  # by process: a fork makes its own


def signal_handlers(task_id: str) -> None:
    """What the app does at a task's end: every handler of task_postrun, as Celery calls them."""
    task = subscribe_task()
    task_postrun.send(
        sender=task, task_id=task_id, task=task, args=(), kwargs={}, retval="done", state="SUCCESS"
    )


@cache
def subscribe_task() -> Any:
    return next(task for name, task in current_app.tasks.items() if name.endswith(".subscribe"))


def new_loop() -> Callable[[str], None]:
    """Connect, publish and disconnect, in an event loop of its own for each message."""

    async def publish(task_id: str) -> None:
        async with Broadcast(URL) as broadcast:
            await broadcast.publish(channel=task_id, message=MESSAGE)

    return async_to_sync(publish)


def persistent_loop() -> Callable[[str], None]:
    """Publish on a persistent event loop and its connection."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    broadcast = Broadcast(URL)

    async def publish(task_id: str) -> None:
        await broadcast.publish(channel=task_id, message=MESSAGE)

    async def connect() -> Callable[[str], None]:
        await broadcast.connect()
        return async_to_sync(publish)  # made here, it sends its calls to this loop

    return asyncio.run_coroutine_threadsafe(connect(), loop).result(5)


def synchronous() -> Callable[[str], None]:
    client = redis.Redis.from_url(URL)

    def publish(task_id: str) -> None:
        client.publish(task_id, MESSAGE)

    return publish


MESSAGE = '{"task_id":"00000000-0000-0000-0000-000000000000","state":"SUCCESS","result":"done"}'
WAYS: dict[str, Callable[[], Callable[[str], None]]] = {
    "signal handlers": lambda: signal_handlers,
    "new loop": new_loop,
    "persistent loop": persistent_loop,
    "synchronous client": synchronous,
}


@shared_task(name="bench.publish")
def publish(way: str, task_id: str, times: int) -> list[float]:
    """Publish so many times, after one that is not counted; return the milliseconds of each."""
    ours = made.setdefault(os.getpid(), {})
    if way not in ours:
        ours[way] = WAYS[way]()
    found = []
    for _ in range(times + 1):
        start = time.perf_counter()
        ours[way](task_id)
        found.append((time.perf_counter() - start) * 1000)
        time.sleep(0.002)
    return found[1:]


@shared_task(name="bench.end")
def end(task_ids: list[str]) -> tuple[float, float]:
    """End so many tasks as fast as this process can; returns when it began and ended (Unix time).

    Each is ended as Celery ends one: the result is stored, then task_postrun is sent. The tasks'
    bodies are left out, as thousands of them would measure the worker.
    """
    start = time.time()
    for task_id in task_ids:
        current_app.backend.store_result(task_id, "done", "SUCCESS")
        signal_handlers(task_id)
    return start, time.time()


@shared_task(name="bench.burst")
def burst(task_ids: list[str]) -> tuple[float, float]:
    """Publish so many ends as fast as this process can; returns when it began and ended.

    The results are not stored: that takes a worker longer than publishing, and what is measured is
    how fast the web process sends.
    """
    start = time.time()
    for task_id in task_ids:
        signal_handlers(task_id)
    return start, time.time()
