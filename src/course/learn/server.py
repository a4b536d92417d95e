"""Serves the site with the bar beside each lesson, and the state over a WebSocket.

The WebSocket sends the whole state first, and then each part of it that has changed. Commands come
as POST requests, and there are no others than those here.
"""

import re
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, HTTPException, WebSocket
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, Field
from starlette.middleware import Middleware

from course.learn.access import Access, OwnBrowserOnly
from course.learn.engine import Engine
from course.learn.local import Watchers
from course.learn.runs import Runs
from course.learn.state import Store, as_parts
from course.work.folder import WorkProblem
from course.work.hints import NoHint

STATIC = Path(__file__).parent / "static"
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


class Site:
    """The app: the site, the bar beside each lesson, the state and the commands."""

    def __init__(self, site: Path, engine: Engine, runs: Runs) -> None:
        self._site, self._engine, self._runs = site, engine, runs
        self._watchers = Watchers()
        engine.store.on_change = self._watchers.wake

    def app(self, access: Access) -> FastAPI:
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
                store = engine.store
                look = partial(as_parts_of, store, lesson)
                await self._watchers.serve(websocket, look, store.lines_after)
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


def as_parts_of(store: Store, lesson: str) -> dict[str, Any]:
    return as_parts(store.state, lesson)


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
