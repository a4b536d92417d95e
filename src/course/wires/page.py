"""The live diagram's server: a page, its events over a WebSocket, and the exports.

It listens on the loopback interface alone and answers only to names of this machine and to its own
page: what passes between the processes is nobody else's.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from course.processes import HOST
from course.wires.diagram import SCHEMES, svg
from course.wires.event import KEPT_EVENTS, Event, selected
from course.wires.proxy import bound
from course.wires.tap import Tap

STATIC = Path(__file__).parent / "static"
COALESCE = 0.05  # seconds: what happens within is sent as one message
STATES_PAUSE = 0.5  # seconds between two looks at the states of the processes
EVENTS_A_MESSAGE = 200  # more would hold up the traffic while they are written
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
HEADERS = {
    b"content-security-policy": b"default-src 'self'; base-uri 'none'; form-action 'none'; "
    b"frame-ancestors 'none'",
    b"cross-origin-resource-policy": b"same-origin",
    b"referrer-policy": b"no-referrer",
    b"x-content-type-options": b"nosniff",
    b"cache-control": b"no-store",
}


class Page:
    """Serves the tap's events at `url`, in the tap's own loop, until the tap ends."""

    def __init__(self, tap: Tap, port: int = 0) -> None:
        self._tap = tap
        self._viewers: set[Viewer] = set()
        self._states: dict[str, str] = {}
        self._socket = bound((HOST, port))
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://{HOST}:{self.port}/"
        self._socket.listen()
        config = uvicorn.Config(
            self._app(), log_level="critical", access_log=False, lifespan="off", ws_max_size=1024
        )
        config.timeout_graceful_shutdown = 1
        self._server = uvicorn.Server(config)
        self._served: Future[None] = tap.run(self._server.serve([self._socket]))
        self._looking: Future[None] = tap.run(self._look_at_states())
        tap.log.on_change.append(self._note)
        tap.at_stop(self._stop)

    def _stop(self) -> None:
        self._tap.log.on_change.remove(self._note)
        self._server.should_exit = True
        self._looking.cancel()
        with suppress(TimeoutError):
            self._served.result(3)
        self._socket.close()

    def _app(self) -> ASGIApp:
        routes = [
            Route("/", page),
            Route("/events/{event_id:int}", self.event),
            Route("/events.json", self.events_json),
            Route("/diagram.svg", self.diagram_svg),
            WebSocketRoute("/ws/events", self.watch),
            Mount("/static", StaticFiles(directory=STATIC)),
        ]
        hosts = Middleware(TrustedHostMiddleware, allowed_hosts=ALLOWED_HOSTS)
        return Starlette(routes=routes, middleware=[hosts, Middleware(SafeHeaders)])

    def _note(self, event: Event) -> None:
        for viewer in self._viewers:
            viewer.note(event)

    async def _look_at_states(self) -> None:
        while True:
            await asyncio.sleep(STATES_PAUSE)
            if self._viewers and (states := self._tap.states.look()) != self._states:
                self._states = states
                for viewer in self._viewers:
                    viewer.states = states
                    viewer.has_news.set()

    # Exports.

    def _selected(self, request: Request) -> list[Event]:
        wanted = request.query_params
        return selected(self._tap.log.snapshot(), wanted.get("task") or None, "noise" in wanted)

    async def event(self, request: Request) -> Response:
        event = self._tap.log.find(request.path_params["event_id"])
        if not event:
            return JSONResponse({"detail": "This event is no longer kept."}, 404)
        return JSONResponse(event.as_json())

    async def events_json(self, request: Request) -> Response:
        events = [event.as_json() for event in self._selected(request)]
        return JSONResponse(events, headers=as_file("wires.json"))

    async def diagram_svg(self, request: Request) -> Response:
        scheme = request.query_params.get("scheme", "light")
        picture = svg(self._selected(request), scheme=scheme if scheme in SCHEMES else "light")
        return Response(picture, media_type="image/svg+xml", headers=as_file("wires.svg"))

    # The WebSocket: the current state first, then each change.

    async def watch(self, websocket: WebSocket) -> None:
        own = f"http://{websocket.headers['host']}"
        if websocket.headers.get("origin") != own:
            await websocket.close(1008)  # before accept(): HTTP 403
            return
        await websocket.accept()
        viewer = Viewer()
        self._viewers.add(viewer)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(until_client_leaves, websocket, tasks.cancel_scope.cancel)
                with suppress(WebSocketDisconnect):
                    await self._send_events(websocket, viewer)
                tasks.cancel_scope.cancel()
        finally:
            self._viewers.discard(viewer)

    async def _send_events(self, websocket: WebSocket, viewer: "Viewer") -> None:
        while True:
            if viewer.must_start_anew:
                viewer.start_anew()
                await self._send_state(websocket)
            await viewer.has_news.wait()
            await asyncio.sleep(COALESCE)
            viewer.has_news.clear()
            events, viewer.changed = list(viewer.changed.values()), {}
            if not viewer.must_start_anew:
                await send_in_parts(websocket, events)
            if viewer.states is not None:
                states, viewer.states = viewer.states, None
                await websocket.send_json({"type": "processes", "processes": states})

    async def _send_state(self, websocket: WebSocket) -> None:
        log = self._tap.log
        events = log.snapshot()
        self._states = self._tap.states.look()
        state = {"type": "state", "processes": self._states, "dropped": log.dropped}
        await websocket.send_json(state)
        await send_in_parts(websocket, events)


class Viewer:
    """One open page: what it has not been sent yet."""

    def __init__(self) -> None:
        self.changed: dict[int, Event] = {}
        self.states: dict[str, str] | None = None
        self.has_news = asyncio.Event()
        self.must_start_anew = True

    def note(self, event: Event) -> None:
        self.changed[event.id] = event
        if len(self.changed) > KEPT_EVENTS:  # it does not read: it gets the whole again, later
            self.must_start_anew = True
            self.changed.clear()
        self.has_news.set()

    def start_anew(self) -> None:
        self.must_start_anew = False
        self.changed.clear()


async def send_in_parts(websocket: WebSocket, events: list[Event]) -> None:
    for start in range(0, len(events), EVENTS_A_MESSAGE):
        part = [event.as_json(False) for event in events[start : start + EVENTS_A_MESSAGE]]
        await websocket.send_json({"type": "events", "events": part})
        await asyncio.sleep(0)


async def until_client_leaves(websocket: WebSocket, leave: Callable[[], None]) -> None:
    message = await websocket.receive()
    if message["type"] != "websocket.disconnect":
        await websocket.close(1008, "This socket only sends.")
    leave()


async def page(request: Request) -> Response:
    return FileResponse(STATIC / "wires.html")


def as_file(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'inline; filename="{name}"'}


class SafeHeaders:
    """Adds HEADERS to each answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given: list[Any] = list(message["headers"])
                message = {**message, "headers": [*given, *HEADERS.items()]}
            await send(message)

        await self._app(scope, receive, send_with_headers)
