"""The web app: its routers, its lifespan, and its answers to errors."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import kombu.exceptions
import redis
from celery.result import denied_join_result
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles

from project import broadcast
from project.config import require_redis
from project.subscriptions.views import subscriptions_router
from project.ws.views import ws_router


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    require_redis()
    async with broadcast:
        # Celery subscribes to the result of each task that it sends. We never wait for one.
        with denied_join_result():
            yield


def create_app() -> FastAPI:
    app = FastAPI(title="Newsletter", lifespan=lifespan)
    app.include_router(subscriptions_router)
    app.include_router(ws_router)
    app.mount("/static", StaticFiles(packages=[("project.subscriptions", "static")]))
    app.add_exception_handler(redis.RedisError, redis_is_away)
    app.add_exception_handler(kombu.exceptions.OperationalError, redis_is_away)
    app.add_exception_handler(RequestValidationError, invalid_request)
    return app


async def redis_is_away(request: Request, error: Exception) -> JSONResponse:
    detail = "Redis does not answer. Please try again."
    return JSONResponse({"detail": detail}, status_code=503, headers={"Retry-After": "2"})


async def invalid_request(request: Request, error: Any) -> JSONResponse:
    # FastAPI's own answer repeats the input, which may hold what JSON cannot: NaN, for example.
    detail = [{key: item[key] for key in ("type", "loc", "msg")} for item in error.errors()]
    return JSONResponse({"detail": detail}, status_code=422)
