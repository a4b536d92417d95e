"""The page of `./course grade --page`: the table of a class, row by row as it is graded."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, WebSocket
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from starlette.middleware import Middleware

from course.grade.results import Results
from course.learn.access import Access, OwnBrowserOnly
from course.learn.local import LocalServer, Watchers
from course.processes import free_port

STATIC = Path(__file__).parent / "static"
KEY_FILE = Path(sys.prefix) / "learn-key"  # in .venv


@contextmanager
def class_page(results: Results, names: list[str]) -> Iterator[tuple[str, Callable[[], None]]]:
    """The page's address, and what to call after each row. `names`: all projects, in order."""
    watchers = Watchers()
    port = free_port()
    access = Access(port, KEY_FILE)
    app = FastAPI(openapi_url=None, middleware=[Middleware(OwnBrowserOnly, access=access)])

    @app.get("/")
    def page() -> FileResponse:
        return FileResponse(STATIC / "class.html")

    @app.websocket("/learn/ws/class")
    async def follow_rows(websocket: WebSocket) -> None:
        await watchers.serve(websocket, lambda: {"rows": rows_as_data(results, names)})

    app.mount("/learn/static", StaticFiles(directory=STATIC))
    with LocalServer(app, port):
        yield access.address("/"), watchers.wake


def rows_as_data(results: Results, names: list[str]) -> list[dict[str, Any]]:
    """A row for each project; one that has not been graded yet says so."""
    found = []
    for name in names:
        row = results.rows.get(name)
        first = row.problem or row.first_failed if row else ""
        found.append(
            {
                "project": name,
                "state": ("passed" if row.passed == "yes" else "not passed") if row else "waiting",
                "chapter": row.chapter if row else "",
                "ideas": row.ideas if row else "",
                "first": first,
                "seen": row.seen if row and row.passed != "yes" else "",
            }
        )
    return found
