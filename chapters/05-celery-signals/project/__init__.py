"""The web app: a page, a form, a Celery task behind it, and a WebSocket that tells its end."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import kombu.exceptions
import redis
from broadcaster import Broadcast
from celery.result import denied_join_result
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles

from project.config import settings

STATIC = Path(__file__).parent / "subscriptions" / "static"

# For FastAPI alone. The Celery worker is another process, and publishes with one of its own.
broadcast = Broadcast(str(settings.ws_message_queue))


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    await broadcast.connect()
    # Celery subscribes to the result of each task it sends, in case we wait for it. We never do.
    with denied_join_result():
        yield
    await broadcast.disconnect()


def create_app() -> FastAPI:
    from project.security import protect
    from project.subscriptions.views import subscriptions_router
    from project.ws.views import ws_router

    # The pages that document an API load their scripts from elsewhere, which our headers forbid.
    app = FastAPI(
        title="Newsletter",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        responses={400: {"description": "No JSON"}, 503: {"description": "Redis is away"}},
    )
    protect(app)
    app.include_router(subscriptions_router)
    app.include_router(ws_router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_exception_handler(redis.RedisError, redis_is_away)
    app.add_exception_handler(kombu.exceptions.OperationalError, redis_is_away)
    return app


async def redis_is_away(request: Request, error: Exception) -> JSONResponse:
    detail = "Redis does not answer. Nothing was started; please try again."
    return JSONResponse({"detail": detail}, status_code=503, headers={"Retry-After": "2"})
