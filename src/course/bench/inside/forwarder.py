"""A WebSocket server by hand, with websockets and redis-py alone: what chapter 5 is measured by.

With FORWARDER=push it passes on what the worker publishes: nothing simpler does the job, so this is
the floor. With FORWARDER=poll it looks into the result backend twice a second: the ceiling.
A task is started by GET /subscriptions?email=..., as websockets answers no POST.
"""

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import redis.asyncio
from celery.result import denied_join_result
from forwarder_worker import subscribe
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

FINAL = {"SUCCESS", "FAILURE", "REVOKED"}
LOOK_EVERY = 0.5  # seconds
client = redis.asyncio.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)
pubsub = client.pubsub()


async def status(task_id: str) -> str:
    meta = json.loads(await client.get(f"celery-task-meta-{task_id}") or '{"status": "PENDING"}')
    state, result = meta["status"], meta.get("result")
    return json.dumps({"task_id": task_id, "state": state, "result": result})


async def push(socket: ServerConnection, task_id: str) -> None:
    news: asyncio.Queue[str] = asyncio.Queue()
    await pubsub.subscribe(**{task_id: lambda message: news.put_nowait(message["data"])})
    try:
        text = await status(task_id)
        await socket.send(text)
        while json.loads(text)["state"] not in FINAL:
            text = await news.get()
            await socket.send(text)
    finally:
        await pubsub.unsubscribe(task_id)


async def poll(socket: ServerConnection, task_id: str) -> None:
    sent = ""
    while True:
        text = await status(task_id)
        if text != sent:
            await socket.send(text)
            sent = text
        if json.loads(text)["state"] in FINAL:
            return
        await asyncio.sleep(LOOK_EVERY)


FOLLOW: dict[str, Callable[[ServerConnection, str], Awaitable[None]]] = {"push": push, "poll": poll}


async def handle(socket: ServerConnection) -> None:
    assert socket.request
    await FOLLOW[os.environ["FORWARDER"]](socket, socket.request.path.rpartition("/")[2])


async def answer(socket: ServerConnection, request: Request) -> Response | None:
    """websockets speaks just enough HTTP for a GET: /subscriptions?email=... starts a task."""
    if request.path.startswith("/ws/"):
        return None
    if not request.path.startswith("/subscriptions"):
        return Response(200, "OK", Headers({"Content-Length": "0"}), b"")
    email = request.path.partition("email=")[2]
    task: Any = await asyncio.to_thread(subscribe.delay, email)
    body = json.dumps({"task_id": task.id}).encode()
    return Response(202, "Accepted", Headers({"Content-Length": str(len(body))}), body)


async def main() -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await pubsub.subscribe(ready=lambda message: None)
    port = int(os.environ["WEB_PORT"])
    # As in the chapters: without this, Celery subscribes to the result of each task it sends.
    with denied_join_result():
        async with serve(handle, "127.0.0.1", port, process_request=answer, compression=None):
            listening = asyncio.create_task(pubsub.run())
            await ended.wait()
            listening.cancel()


asyncio.run(main())
