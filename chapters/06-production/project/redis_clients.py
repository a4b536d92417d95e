"""Clients for Redis: one for asyncio, one for the worker, for each kind of URL.

A URL may name a password, TLS (rediss://) or sentinels (sentinel://one:26379;sentinel://two:26379).
"""

from typing import Any
from urllib.parse import unquote, urlsplit

import redis
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from project.config import settings

TIME_LIMIT = 1  # second, to connect and for each answer
# A connection that has been cut is replaced at once, and the command sent again, once.
ONCE_MORE: dict[str, Any] = {
    "backoff": ExponentialBackoff(cap=0.1, base=0.05),
    "retries": 1,
    "supported_errors": (redis.ConnectionError,),
}
OPTIONS: dict[str, Any] = {
    "socket_connect_timeout": TIME_LIMIT,
    "socket_timeout": TIME_LIMIT,
    "decode_responses": True,
}


def async_client(url: str, retries: int = 1) -> redis.asyncio.Redis:
    options = OPTIONS | {"retry": AsyncRetry(**ONCE_MORE | {"retries": retries})}
    if not url.startswith("sentinel://"):
        return redis.asyncio.Redis.from_url(url, **options)
    addresses, master = sentinels(url)
    sentinel = redis.asyncio.sentinel.Sentinel(addresses, sentinel_kwargs=OPTIONS)  # type: ignore[no-untyped-call]
    client: redis.asyncio.Redis = sentinel.master_for(settings.sentinel_master, **options | master)
    return client


def sync_client(url: str) -> redis.Redis:
    options = OPTIONS | {"retry": Retry(**ONCE_MORE)}
    if not url.startswith("sentinel://"):
        return redis.Redis.from_url(url, **options)
    addresses, master = sentinels(url)
    sentinel = redis.sentinel.Sentinel(addresses, sentinel_kwargs=OPTIONS)  # type: ignore[no-untyped-call]
    client: redis.Redis = sentinel.master_for(settings.sentinel_master, **options | master)  # type: ignore[no-untyped-call]
    return client


def sentinels(url: str) -> tuple[list[tuple[str, int]], dict[str, Any]]:
    """The sentinels' addresses, and what the master they name wants to know."""
    parts = [urlsplit(part) for part in url.split(";")]
    addresses = [(part.hostname or "127.0.0.1", part.port or 26379) for part in parts]
    first = parts[0]
    master: dict[str, Any] = {"db": int(first.path.strip("/") or 0)}
    if first.password:
        username = unquote(first.username or "") or None
        master |= {"username": username, "password": unquote(first.password)}
    return addresses, master
