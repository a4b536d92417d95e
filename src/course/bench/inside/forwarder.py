"""A forwarder by hand: uvicorn and FastAPI as in chapter 5, and redis-py instead of Broadcaster.

With FORWARDER=push it passes on what the worker publishes: nothing simpler does the job, so this is
the floor. With FORWARDER=poll it looks into the result backend twice a second: the ceiling.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import redis.asyncio
from celery.result import denied_join_result
from fastapi import Body, FastAPI, WebSocket
from forwarder_worker import subscribe

FINAL = {"SUCCESS", "FAILURE", "REVOKED"}
LOOK_EVERY = 0.5  # seconds
client = redis.asyncio.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)
pubsub = client.pubsub()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    await pubsub.subscribe(ready=lambda message: None)
    listening = asyncio.create_task(pubsub.run())
    # As in the chapters: without this, Celery subscribes to the result of each task it sends.
    with denied_join_result():
        yield
    listening.cancel()


app = FastAPI(lifespan=lifespan)


@app.get("/")
def ready() -> str:
    return "ready"


@app.post("/subscriptions", status_code=202)
def start(email: str = Body(embed=True)) -> dict[str, str]:
    return {"task_id": subscribe.delay(email).id}


@app.websocket("/ws/task_status/{task_id}")
async def follow(websocket: WebSocket, task_id: str) -> None:
    await websocket.accept()
    await {"push": push, "poll": poll}[os.environ["FORWARDER"]](websocket, task_id)
    await websocket.close()


async def push(websocket: WebSocket, task_id: str) -> None:
    news: asyncio.Queue[str] = asyncio.Queue()
    await pubsub.subscribe(**{task_id: lambda message: news.put_nowait(message["data"])})
    try:
        text = await status(task_id)
        await websocket.send_text(text)
        while json.loads(text)["state"] not in FINAL:
            text = await news.get()
            await websocket.send_text(text)
    finally:
        await pubsub.unsubscribe(task_id)


async def poll(websocket: WebSocket, task_id: str) -> None:
    sent = ""
    while True:
        text = await status(task_id)
        if text != sent:
            await websocket.send_text(text)
            sent = text
        if json.loads(text)["state"] in FINAL:
            return
        await asyncio.sleep(LOOK_EVERY)


async def status(task_id: str) -> str:
    meta = json.loads(await client.get(f"celery-task-meta-{task_id}") or '{"status": "PENDING"}')
    state, result = meta["status"], meta.get("result")
    return json.dumps({"task_id": task_id, "state": state, "result": result})
