"""Serves the site with the bar beside each lesson, and the state over a WebSocket.

The WebSocket sends the whole state first, and then each part of it that has changed. Commands come
as POST requests, and there are no others than those here.
"""

import asyncio
import re
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Self

import anyio
import uvicorn
from fastapi import APIRouter, FastAPI, HTTPException, WebSocket, WebSocketDisconnect
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, Field
from starlette.middleware import Middleware

from course.learn.access import Access, OwnBrowserOnly
from course.learn.engine import Engine
from course.learn.runs import Runs
from course.learn.state import Store, as_parts
from course.processes import HOST, wait_for
from course.work.folder import WorkProblem
from course.work.hints import NoHint

STATIC = Path(__file__).parent / "static"
COALESCE = 0.05  # seconds: what changes within is sent as one message
START_LIMIT = 10.0  # seconds
HEAD = '<link rel="stylesheet" href="/learn/static/learn.css">\n</head>'
SCRIPT = '<script type="module" src="/learn/static/learn.js"></script>\n</body>'

Lesson = Annotated[str, Field(pattern=r"^\d\d$")]


class Order(BaseModel):
    """What a command is about."""

    lesson: Lesson


class Answer(BaseModel):
    """A choice of a question that was opened."""

    question: Annotated[str, Field(pattern=r"^\d\d-\d{1,3}$")]
    choice: Annotated[int, Field(ge=0, lt=20)]


class Server:
    """Listens on loopback, in a thread of its own, from entering to leaving."""

    def __init__(self, port: int, site: Path, engine: Engine, runs: Runs, access: Access) -> None:
        self._site, self._engine, self._runs = site, engine, runs
        self._watchers = Watchers(engine.store)
        self._port = port
        config = uvicorn.Config(
            self._app(access),
            log_level="critical",
            access_log=False,  # it would hold the token
            lifespan="off",
            ws_max_size=1024,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="learn", daemon=True)

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

    def _app(self, access: Access) -> FastAPI:
        app = FastAPI(openapi_url=None, middleware=[Middleware(OwnBrowserOnly, access=access)])
        app.include_router(self._pages())
        app.include_router(self._commands(), prefix="/learn")
        app.mount("/learn/static", StaticFiles(directory=STATIC))
        app.mount("/", StaticFiles(directory=self._site, html=True))
        return app

    def _pages(self) -> APIRouter:
        pages = APIRouter()

        @pages.get("/lessons/{lesson}/")
        def lesson_page(lesson: str) -> HTMLResponse:
            if lesson not in self._engine.store.state.chapters:
                raise HTTPException(404)
            page = (self._site / "lessons" / lesson / "index.html").read_text("utf-8")
            return HTMLResponse(with_bar(page, lesson))

        return pages

    def _commands(self) -> APIRouter:
        commands = APIRouter()
        engine, runs = self._engine, self._runs

        @commands.websocket("/ws/{lesson}")
        async def follow_state(websocket: WebSocket, lesson: Lesson) -> None:
            if lesson in engine.store.state.chapters:
                await self._watchers.serve(websocket, lesson)
            else:
                await websocket.close(1008)

        @commands.post("/run", status_code=202)
        def run() -> None:
            needs_work(engine)
            runs.start()

        @commands.post("/stop", status_code=202)
        def stop() -> None:
            runs.stop()

        @commands.post("/check", status_code=202)
        def check(order: Order) -> None:
            needs_work(engine)
            engine.judge(known(order.lesson, engine))

        @commands.post("/hint", status_code=202)
        def hint() -> None:
            try:
                engine.hint()
            except NoHint as problem:
                raise HTTPException(409, str(problem)) from None

        @commands.post("/start", status_code=202)
        def start(order: Order) -> None:
            try:
                engine.begin(known(order.lesson, engine))
            except (WorkProblem, OSError) as problem:
                raise HTTPException(409, str(problem)) from None

        @commands.post("/answers", status_code=202)
        def answer(answer: Answer) -> None:
            engine.answer(answer.question, answer.choice)

        return commands


def needs_work(engine: Engine) -> None:
    if not engine.project.is_dir():
        raise HTTPException(409, "There is no work/ yet.")


def known(lesson: str, engine: Engine) -> str:
    if lesson not in engine.store.state.chapters:
        raise HTTPException(404, f"There is no chapter {lesson}.")
    return lesson


def with_bar(page: str, lesson: str) -> str:
    """The lesson's page with the bar after its content."""
    bar = (STATIC / "bar.html").read_text("utf-8").replace("LESSON", lesson)
    page = page.replace("</head>", HEAD, 1)
    before, _, after = page.rpartition("</body>")
    return before + bar + SCRIPT + after


def anchor_of(site: Path, chapter: str, step: int) -> str:
    """Where in the lesson that step is: "#step-2-query-the-state"; "" if it is not found."""
    page = site / "lessons" / chapter / "index.html"
    found = (
        re.search(rf'id="(step-{step}-[^"]+)"', page.read_text("utf-8")) if page.exists() else None
    )
    return f"#{found[1]}" if found else ""


class Watchers:
    """The open pages."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._open: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        store.on_change = self._wake

    def _wake(self) -> None:
        for has_changed, loop in list(self._open.items()):
            with suppress(RuntimeError):  # the server has just ended
                loop.call_soon_threadsafe(has_changed.set)

    async def serve(self, websocket: WebSocket, lesson: str) -> None:
        """Send the state, and then what changes, until the client leaves."""
        await websocket.accept()
        has_changed = asyncio.Event()
        self._open[has_changed] = asyncio.get_running_loop()
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._send, websocket, lesson, has_changed)
                with suppress(WebSocketDisconnect):
                    await websocket.receive_text()
                    await websocket.close(1008, "This socket only sends.")
                tasks.cancel_scope.cancel()
        finally:
            del self._open[has_changed]

    async def _send(self, websocket: WebSocket, lesson: str, has_changed: asyncio.Event) -> None:
        sent: dict[str, Any] = {}
        line_number = 0
        with suppress(WebSocketDisconnect):
            while True:
                has_changed.clear()
                parts = as_parts(self._store.state, lesson)
                lines = self._store.lines_after(line_number)
                changed = {name: part for name, part in parts.items() if part != sent.get(name)}
                if lines:
                    line_number = lines[-1].number
                    changed["lines"] = [[line.number, line.process, line.text] for line in lines]
                if changed:
                    kind = "change" if sent else "state"
                    await websocket.send_json({"type": kind, **changed})
                sent = parts
                await has_changed.wait()
                await asyncio.sleep(COALESCE)
