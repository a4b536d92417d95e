"""A server for one browser of this machine: a thread, loopback, its state over a WebSocket."""

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

import anyio
import uvicorn
from fastapi import WebSocket, WebSocketDisconnect
from starlette.types import ASGIApp

from course.learn.state import Line
from course.processes import HOST, wait_for

COALESCE = 0.05  # seconds: what changes within is sent as one message
START_LIMIT = 10.0  # seconds


class LocalServer:
    """Listens from entering to leaving."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._port = port
        config = uvicorn.Config(
            app,
            log_level="critical",
            access_log=False,  # it would hold the token
            lifespan="off",
            ws_max_size=1024,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="server", daemon=True)

    def __enter__(self) -> Self:
        """Raises OSError if the port cannot be had."""
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((HOST, self._port))
        self._thread.start()
        wait_for(lambda: self._server.started, START_LIMIT)
        return self

    def __exit__(self, *error: object) -> None:
        self._server.should_exit = True
        self._thread.join(5)
        self._socket.close()

    def _serve(self) -> None:
        asyncio.run(self._server.serve([self._socket]))


class Watchers:
    """The open pages. Any thread may say that the state has changed."""

    def __init__(self) -> None:
        self._open: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}

    def wake(self) -> None:
        for has_changed, loop in list(self._open.items()):
            with suppress(RuntimeError):  # the server has just ended
                loop.call_soon_threadsafe(has_changed.set)

    async def serve(
        self,
        websocket: WebSocket,
        look: Callable[[], dict[str, Any]],
        lines_after: Callable[[int], list[Line]] = lambda number: [],
    ) -> None:
        """Send the state, and then those of its parts that change, until the client leaves.

        `look` returns the parts by name; `lines_after` the lines of the log with higher numbers.
        """
        await websocket.accept()
        has_changed = asyncio.Event()
        self._open[has_changed] = asyncio.get_running_loop()
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(send_changes, websocket, has_changed, look, lines_after)
                with suppress(WebSocketDisconnect):
                    await websocket.receive_text()
                    await websocket.close(1008, "This socket only sends.")
                tasks.cancel_scope.cancel()
        finally:
            del self._open[has_changed]


async def send_changes(
    websocket: WebSocket,
    has_changed: asyncio.Event,
    look: Callable[[], dict[str, Any]],
    lines_after: Callable[[int], list[Line]],
) -> None:
    sent: dict[str, Any] = {}
    line_number = 0
    with suppress(WebSocketDisconnect):
        while True:
            has_changed.clear()
            parts, lines = look(), lines_after(line_number)
            changed = {name: part for name, part in parts.items() if part != sent.get(name)}
            if lines:
                line_number = lines[-1].number
                changed["lines"] = [[line.number, line.process, line.text] for line in lines]
            if changed:
                await websocket.send_json({"type": "change" if sent else "state", **changed})
            sent = parts
            await has_changed.wait()
            await asyncio.sleep(COALESCE)
