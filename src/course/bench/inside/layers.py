"""Sockets that get one frame and then wait, on two layers: what each of them costs in memory."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, WebSocket

Message = dict[str, Any]


async def asgi(
    scope: Message,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """No framework: uvicorn alone."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"ready"})
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": "{}"})
    await receive()


app = FastAPI()


@app.websocket("/ws/task_status/{task_id}")
async def wait(websocket: WebSocket, task_id: str) -> None:
    await websocket.accept()
    await websocket.send_text("{}")
    await websocket.receive()
