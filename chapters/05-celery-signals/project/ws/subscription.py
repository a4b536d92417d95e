"""Broadcaster's subscribe(), with the faults of version 0.2.0 mended: it does not clean up after
an exception, nor after an outage, and its Redis client reconnects less and less often."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Protocol

import redis
from broadcaster import Event

from project import broadcast

# What Broadcaster 0.2.0 and 0.3 raise while Redis is away.
NOT_CONNECTED: tuple[type[Exception], ...] = (AttributeError, KeyError, OSError, redis.RedisError)

try:
    import asyncio_redis
except ImportError:  # Broadcaster 0.3 uses redis-py
    pass
else:
    NOT_CONNECTED += (asyncio_redis.Error,)
    # It increases its wait between two attempts after each one. Keep it below a second.
    asyncio_redis.Connection._increase_retry_interval = (
        asyncio_redis.Connection._reset_retry_interval
    )


class Messages(Protocol):
    async def get(self) -> Event: ...


@asynccontextmanager
async def subscription(channel: str) -> AsyncIterator[Messages]:
    context = broadcast.subscribe(channel=channel)
    try:
        messages = await context.__aenter__()
    except NOT_CONNECTED as error:
        # asyncio-redis has noted the channel, to subscribe to it when Redis is back.
        with suppress(*NOT_CONNECTED):
            await broadcast._backend.unsubscribe(channel)
        raise ConnectionError(f"Redis does not take the subscription to {channel}") from error
    try:
        yield messages
    finally:
        with suppress(*NOT_CONNECTED):
            await context.__aexit__(None, None, None)
