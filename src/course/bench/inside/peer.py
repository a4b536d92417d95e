"""What the hand-written servers share: starting a task, its current state, and messages by channel.

redis-py's asyncio client, with one subscription connection a process.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import redis.asyncio
from celery.result import denied_join_result
from peer_worker import subscribe
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

FINAL = {"SUCCESS", "FAILURE", "REVOKED"}
client = redis.asyncio.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)
pubsub = client.pubsub()
queues: dict[str, set[asyncio.Queue[str]]] = {}  # by channel, which is the task's id


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    await pubsub.subscribe("ready")  # a subscription connection without a channel does not listen
    listening = asyncio.create_task(listen())
    # As in the chapters: without this, Celery subscribes to the result of each task it sends.
    with denied_join_result():
        yield
    listening.cancel()


async def listen() -> None:
    async for message in pubsub.listen():
        if message["type"] == "message":
            for queue in queues.get(message["channel"], ()):
                queue.put_nowait(message["data"])


async def subscribe_to(task_id: str) -> asyncio.Queue[str]:
    queue: asyncio.Queue[str] = asyncio.Queue()
    if task_id not in queues:
        queues[task_id] = set()
        await pubsub.subscribe(task_id)
    queues[task_id].add(queue)
    return queue


async def unsubscribe_from(task_id: str, queue: asyncio.Queue[str]) -> None:
    queues[task_id].discard(queue)
    if not queues[task_id]:
        del queues[task_id]
        await pubsub.unsubscribe(task_id)


async def statuses(task_id: str) -> AsyncIterator[str]:
    """The task's current status, and then each that is published, up to the final one."""
    queue = await subscribe_to(task_id)
    try:
        text = await status(task_id)
        yield text
        while json.loads(text)["state"] not in FINAL:
            text = await queue.get()
            yield text
    finally:
        await unsubscribe_from(task_id, queue)


async def status(task_id: str) -> str:
    meta = json.loads(await client.get(f"celery-task-meta-{task_id}") or '{"status": "PENDING"}')
    state, result = meta["status"], meta.get("result")
    return json.dumps({"task_id": task_id, "state": state, "result": result})


async def start(request: Request) -> JSONResponse:
    body = await request.json()
    task = await asyncio.to_thread(subscribe.delay, body["email"])
    return JSONResponse({"task_id": task.id}, status_code=202)


async def ready(request: Request) -> PlainTextResponse:
    return PlainTextResponse("ready")


routes = [Route("/", ready), Route("/subscriptions", start, methods=["POST"])]
