"""Settings, read from the environment. A wrong one stops the process with one sentence."""

import os
import sys
from typing import Annotated, Any, NoReturn

import redis
from pydantic import AfterValidator, AliasChoices, Field, HttpUrl, RedisDsn, ValidationError
from pydantic_settings import BaseSettings
from redis.backoff import NoBackoff
from redis.retry import Retry


def check_database(url: RedisDsn) -> RedisDsn:
    database = (url.path or "").strip("/")
    if database and not database.isdecimal():
        raise ValueError(f"a database of Redis has a number, and {database!r} is none")
    return url


def or_redis_url(name: str) -> Any:
    default = RedisDsn("redis://127.0.0.1:6379/0")
    return Field(default=default, validation_alias=AliasChoices(name, "redis_url"))


RedisUrl = Annotated[RedisDsn, AfterValidator(check_database)]


class Settings(BaseSettings):
    celery_broker_url: RedisUrl = or_redis_url("celery_broker_url")
    celery_result_backend: RedisUrl = or_redis_url("celery_result_backend")
    newsletter_url: HttpUrl = HttpUrl("http://127.0.0.1:8011")
    # How long one call of the newsletter service may take in all, in seconds.
    newsletter_deadline_seconds: float = Field(default=600, gt=0)


def load_settings() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).upper()
        if name not in map(str.upper, os.environ):
            name = "REDIS_URL"  # which stands in for those that are not set
        stop_process(f"The setting {name} is wrong: {first['msg']}.")


def require_redis(**kwargs: Any) -> None:
    """Stop the process if it could do nothing but wait for Redis."""
    limits: Any = {"socket_connect_timeout": 1, "socket_timeout": 1, "retry": Retry(NoBackoff(), 0)}
    for name in ("celery_broker_url", "celery_result_backend"):
        try:
            with redis.Redis.from_url(str(getattr(settings, name)), **limits) as client:
                client.ping()
        except redis.RedisError as error:
            stop_process(f"The setting {name.upper()} leads to no Redis that answers: {error}")


def stop_process(sentence: str) -> NoReturn:
    print(sentence, file=sys.stderr, flush=True)
    os._exit(1)  # not sys.exit: uvicorn logs what leaves the lifespan with its traceback


settings = load_settings()
