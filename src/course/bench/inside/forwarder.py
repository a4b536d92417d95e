"""A WebSocket forwarder by hand on bare Starlette, with redis-py.

With PEER=floor it forwards what the worker publishes: nothing simpler does the job. With
PEER=ceiling it queries the result backend twice a second.
"""

import asyncio
import json
import os
from contextlib import aclosing, suppress

from peer import FINAL, lifespan, routes, status, statuses
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

QUERY_EVERY = 0.5  # seconds


async def follow(websocket: WebSocket) -> None:
    task_id = str(websocket.path_params["task_id"])
    await websocket.accept()
    with suppress(WebSocketDisconnect):
        await {"floor": push, "ceiling": poll}[os.environ["PEER"]](websocket, task_id)
        await websocket.close()


async def push(websocket: WebSocket, task_id: str) -> None:
    async with aclosing(statuses(task_id)) as texts:
        async for text in texts:
            await websocket.send_text(text)


async def poll(websocket: WebSocket, task_id: str) -> None:
    sent = ""
    while True:
        text = await status(task_id)
        if text != sent:
            await websocket.send_text(text)
            sent = text
        if json.loads(text)["state"] in FINAL:
            return
        await asyncio.sleep(QUERY_EVERY)


app = Starlette(
    routes=[*routes, WebSocketRoute("/ws/task_status/{task_id:uuid}", follow)], lifespan=lifespan
)
