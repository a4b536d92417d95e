"""Settings, read from the environment. A wrong one stops the process with one sentence."""

import os
import sys
from typing import Annotated, NoReturn

import redis
from pydantic import AliasChoices, Field, HttpUrl, RedisDsn, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode
from redis.backoff import NoBackoff
from redis.retry import Retry

REDIS_URL = RedisDsn("redis://127.0.0.1:6379/0")


class Settings(BaseSettings):
    # Each may name a server of its own. What is not set is REDIS_URL.
    celery_broker_url: RedisDsn = Field(
        default=REDIS_URL, validation_alias=AliasChoices("celery_broker_url", "redis_url")
    )
    celery_result_backend: RedisDsn = Field(
        default=REDIS_URL, validation_alias=AliasChoices("celery_result_backend", "redis_url")
    )
    newsletter_url: HttpUrl = HttpUrl("http://127.0.0.1:8011")
    # How long one call of the newsletter service may take in all, in seconds.
    newsletter_deadline_seconds: float = Field(default=600, gt=0)

    # Origins of other sites whose pages may open our WebSocket, separated by commas.
    allowed_origins: Annotated[list[str], NoDecode] = []
    # How long a WebSocket waits for a task to end, in seconds.
    ws_deadline_seconds: float = Field(default=1200, gt=0)

    @field_validator("allowed_origins", mode="before")
    @classmethod
    def split(cls, origins: str | list[str]) -> list[str]:
        listed = origins.split(",") if isinstance(origins, str) else origins
        return [origin.strip() for origin in listed if origin.strip()]

    @field_validator("celery_broker_url", "celery_result_backend")
    @classmethod
    def database_is_a_number(cls, url: RedisDsn) -> RedisDsn:
        database = (url.path or "").strip("/")
        if database and not database.isdecimal():
            raise ValueError(f"Redis has numbered databases, and {database!r} is not a number")
        return url


def load_settings() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        stop_process(f"The setting {str(first['loc'][0]).upper()} is wrong: {first['msg']}.")


def require_redis() -> None:
    """Stop the process if it could do nothing but wait for Redis."""
    for name in ("celery_broker_url", "celery_result_backend"):
        url = str(getattr(settings, name))
        try:
            with redis.Redis.from_url(
                url, socket_connect_timeout=1, socket_timeout=1, retry=Retry(NoBackoff(), 0)
            ) as client:
                client.ping()
        except redis.RedisError as error:
            stop_process(f"The setting {name.upper()} leads to no Redis that answers: {error}")


def stop_process(sentence: str) -> NoReturn:
    print(sentence, file=sys.stderr, flush=True)
    os._exit(1)  # not sys.exit: uvicorn logs what leaves the lifespan with its traceback


settings = load_settings()
