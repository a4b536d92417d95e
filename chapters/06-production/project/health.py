"""For whatever starts and watches this process: does it live, and can it work?"""

import asyncio

import kombu.exceptions
from celery import current_app
from fastapi import APIRouter, Response, status
from redis import RedisError

from project.records import store
from project.ws.hub import hub

TIME_LIMIT = 2  # seconds

health_router = APIRouter(include_in_schema=False)


@health_router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process lives, and its event loop turns. If this fails, restart it."""
    return {"status": "ok"}


@health_router.get("/readyz")
async def readyz(response: Response) -> dict[str, object]:
    """All that a request needs answers. If this fails, send requests elsewhere; do not restart."""
    answers = await asyncio.gather(store_answers(), broker_answers())
    parts = ["result backend", "broker"]
    away = [part for part, answer in zip(parts, answers, strict=True) if not answer]
    if not hub.is_connected:
        away.append("message queue")
    if away:
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
        return {"status": "not ready", "away": away}
    return {"status": "ready"}


async def store_answers() -> bool:
    try:
        async with asyncio.timeout(TIME_LIMIT):
            return bool(await store.ping())
    except (RedisError, OSError):  # a TimeoutError is one
        return False


async def broker_answers() -> bool:
    def connect() -> None:
        with current_app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=TIME_LIMIT)

    try:
        await asyncio.to_thread(connect)
    except (kombu.exceptions.OperationalError, OSError):
        return False
    return True
