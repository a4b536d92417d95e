"""A WebSocket app with no framework: one async function that receives and sends messages.

Run it:  uvicorn raw_asgi:app --port 8012   Then open http://127.0.0.1:8012/
"""

from asyncio import sleep
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("raw_page.html").read_bytes()
Message = dict[str, Any]


async def app(
    scope: Message,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    if scope["type"] == "http":
        headers = [(b"content-type", b"text/html; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": PAGE})

    if scope["type"] == "websocket":
        await receive()  # {"type": "websocket.connect"}: the client wants to shake hands
        await send({"type": "websocket.accept"})
        for second in (1, 2, 3):
            await sleep(1)
            await send({"type": "websocket.send", "text": f"The server speaks: {second}"})
        await send({"type": "websocket.close", "code": 1000})
