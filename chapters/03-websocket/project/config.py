"""Settings, read from the environment. A wrong one stops the process with one sentence."""

import sys
from typing import Annotated

import redis
from pydantic import Field, HttpUrl, RedisDsn, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode
from redis.backoff import NoBackoff
from redis.retry import Retry


class Settings(BaseSettings):
    redis_url: RedisDsn = RedisDsn("redis://127.0.0.1:6379/0")
    celery_broker_url: RedisDsn = Field(default_factory=lambda data: data["redis_url"])
    celery_result_backend: RedisDsn = Field(default_factory=lambda data: data["redis_url"])
    newsletter_url: HttpUrl = HttpUrl("http://127.0.0.1:8011")

    # Origins of other sites whose pages may open our WebSocket, separated by commas.
    allowed_origins: Annotated[list[str], NoDecode] = []
    # How long a WebSocket waits for a task to end, in seconds.
    ws_deadline_seconds: float = Field(default=1200, gt=0)

    @field_validator("allowed_origins", mode="before")
    @classmethod
    def split(cls, origins: str | list[str]) -> list[str]:
        listed = origins.split(",") if isinstance(origins, str) else origins
        return [origin.strip() for origin in listed if origin.strip()]


def load_settings() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        sys.exit(f"The setting {str(first['loc'][0]).upper()} is wrong: {first['msg']}.")


def require_redis() -> None:
    """Stop the process at once, and say why, if it could do nothing but wait for Redis."""
    for name in ("celery_broker_url", "celery_result_backend"):
        url = str(getattr(settings, name))
        try:
            with redis.Redis.from_url(
                url, socket_connect_timeout=1, socket_timeout=1, retry=Retry(NoBackoff(), 0)
            ) as client:
                client.ping()
        except (redis.RedisError, ValueError) as error:
            sys.exit(f"The setting {name.upper()} leads to no Redis that answers: {error}")


settings = load_settings()
