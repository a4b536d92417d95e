"""The web app: its lifespan, its routes, and what it answers when Redis is away."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import redis
from celery.result import denied_join_result
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles

from project.config import require_secret
from project.health import health_router
from project.logs import configure_logs
from project.metrics import metrics_router
from project.records import store
from project.security import HEADERS, protect
from project.sessions import add_sessions
from project.subscriptions.views import subscriptions_router
from project.ws.hub import hub
from project.ws.views import ws_routes


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    require_secret()
    # Celery subscribes to the result of each task it sends, in case we wait for it. We never do.
    with denied_join_result():
        async with hub.running():
            yield
    await store.aclose()


def create_app() -> FastAPI:
    configure_logs()
    # The pages that document an API load their scripts from elsewhere, which our headers forbid.
    app = FastAPI(
        title="Newsletter",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        responses={
            400: {"description": "No JSON"},
            404: {"description": "No such task, or another browser's"},
            429: {"description": "Too many tasks in a minute"},
            503: {"description": "Redis is away"},
        },
    )
    add_sessions(app)
    protect(app)
    app.include_router(subscriptions_router)
    app.include_router(health_router)
    app.include_router(metrics_router)
    app.router.routes.extend(ws_routes)
    app.mount("/static", StaticFiles(packages=[("project.subscriptions", "static")]))
    app.add_exception_handler(redis.RedisError, redis_is_away)
    app.add_exception_handler(RequestValidationError, invalid_request)
    app.add_exception_handler(Exception, server_error)
    return app


async def redis_is_away(request: Request, error: Exception) -> JSONResponse:
    detail = "Redis does not answer. Nothing was started; please try again."
    return JSONResponse({"detail": detail}, status_code=503, headers={"Retry-After": "2"})


async def invalid_request(request: Request, error: Any) -> JSONResponse:
    # FastAPI's own answer repeats the input, which may hold what JSON cannot: NaN, for example.
    detail = [{key: item[key] for key in ("type", "loc", "msg")} for item in error.errors()]
    return JSONResponse({"detail": detail}, status_code=422)


async def server_error(request: Request, error: Exception) -> JSONResponse:
    # Sent outside of all middleware: its headers have to come from here.
    return JSONResponse({"detail": "Internal Server Error"}, 500, HEADERS)
