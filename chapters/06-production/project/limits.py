"""How much one client may have: sockets, and tasks a minute."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import HTTPException, status
from starlette.requests import HTTPConnection

from project.config import settings
from project.records import store

open_sockets: Counter[str] = Counter()  # of this process, by client address and by task id


def client_address(connection: HTTPConnection) -> str:
    """uvicorn takes it from X-Forwarded-For if the proxy is one of FORWARDED_ALLOW_IPS."""
    return connection.client.host if connection.client else ""


@contextmanager
def too_many_sockets(connection: HTTPConnection, task_id: str) -> Iterator[bool]:
    """Whether this socket is one too many for its client or for its task; if not, it is counted."""
    limits = {
        client_address(connection): settings.ws_most_per_client,
        task_id: settings.ws_most_per_task,
    }
    if any(open_sockets[key] >= limit for key, limit in limits.items()):
        yield True
        return
    open_sockets.update(limits.keys())
    try:
        yield False
    finally:
        open_sockets.subtract(limits.keys())
        for key in limits:
            if not open_sockets[key]:
                del open_sockets[key]


async def count_task(connection: HTTPConnection) -> None:
    """Refuse a task that is one too many for its client in this minute. Raises RedisError."""
    minute, seconds = divmod(time.time(), 60)
    key = f"newsletter:tasks:{client_address(connection)}:{minute:.0f}"
    async with store.pipeline() as pipe:
        pipe.incr(key)
        pipe.expire(key, 120)
        number, _ = await pipe.execute()
    if number > settings.tasks_per_minute:
        raise HTTPException(
            status.HTTP_429_TOO_MANY_REQUESTS,
            "Too many subscriptions in a minute. Please wait a moment.",
            {"Retry-After": f"{60 - seconds:.0f}"},
        )
