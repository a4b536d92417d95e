"""Server-sent events by hand on Starlette: the same forwarding, over one HTTP response."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from peer import lifespan, routes, statuses
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route


async def follow(request: Request) -> StreamingResponse:
    events = as_events(str(request.path_params["task_id"]))
    headers = {"Cache-Control": "no-store"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


async def as_events(task_id: str) -> AsyncIterator[str]:
    async with aclosing(statuses(task_id)) as texts:
        async for text in texts:
            yield f"data: {text}\n\n"


app = Starlette(routes=[*routes, Route("/events/{task_id:uuid}", follow)], lifespan=lifespan)
