"""python-socketio as its documentation has it: a room for each task, and Redis between processes.

The worker emits to the room; AsyncRedisManager brings it to the web process.
"""

import json
import os

import socketio
from peer import lifespan, routes, status
from starlette.applications import Starlette

sio = socketio.AsyncServer(
    async_mode="asgi", client_manager=socketio.AsyncRedisManager(os.environ["REDIS_URL"])
)


@sio.event
async def follow(sid: str, task_id: str) -> None:
    # First the room, then the state: a task that ends in between is seen twice, not missed.
    await sio.enter_room(sid, task_id)
    await sio.emit("status", json.loads(await status(task_id)), to=sid)


app = socketio.ASGIApp(sio, Starlette(routes=routes, lifespan=lifespan))
