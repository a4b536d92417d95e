"""Sockets that get one frame and then wait, on three layers: what each takes in memory."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute

Message = dict[str, Any]
FRAME = '{"state":"PENDING"}'


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
    await send({"type": "websocket.send", "text": FRAME})
    await receive()


async def wait(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(FRAME)
    await websocket.receive()


async def ready(request: Request) -> PlainTextResponse:
    return PlainTextResponse("ready")


PATH = "/ws/task_status/{task_id}"
starlette = Starlette(routes=[Route("/", ready), WebSocketRoute(PATH, wait)])
app = FastAPI()
app.websocket(PATH)(wait)
