"""Settings, read from the environment. A wrong one stops the process with one sentence."""

import sys
from importlib.metadata import version
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
    ws_message_queue: RedisDsn = Field(
        default_factory=lambda data: data["redis_url"], validate_default=True
    )
    newsletter_url: HttpUrl = HttpUrl("http://127.0.0.1:8011")

    # Origins of other sites whose pages may open our WebSocket, separated by commas.
    allowed_origins: Annotated[list[str], NoDecode] = []
    # How often a WebSocket looks the state up although nothing was published, in seconds.
    ws_heartbeat_seconds: float = Field(default=5, gt=0)
    # How long a WebSocket waits for a task to end, in seconds.
    ws_deadline_seconds: float = Field(default=1200, gt=0)

    # Names under which this app is reached, separated by commas: another Host is refused.
    allowed_hosts: Annotated[list[str], NoDecode] = ["127.0.0.1", "localhost"]
    # How many sockets one client address may have open, and how many may follow one task.
    ws_most_per_client: int = Field(default=1000, gt=0)
    ws_most_per_task: int = Field(default=100, gt=0)
    # After this many seconds, a task that was not done is given to another worker. It has to be
    # longer than any task takes: ours waits for the newsletter service for 600 seconds at most.
    celery_visibility_timeout: int = Field(default=660, gt=0)

    @field_validator("allowed_origins", "allowed_hosts", mode="before")
    @classmethod
    def split(cls, names: str | list[str]) -> list[str]:
        listed = names.split(",") if isinstance(names, str) else names
        return [name.strip() for name in listed if name.strip()]

    @field_validator("ws_message_queue")
    @classmethod
    def nothing_that_broadcaster_ignores(cls, url: RedisDsn) -> RedisDsn:
        if version("broadcaster").startswith("0.2.") and (url.password or url.scheme != "redis"):
            raise ValueError("broadcaster 0.2.0 sends no password and cannot speak TLS")
        return url


def load_settings() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        sys.exit(f"The setting {str(first['loc'][0]).upper()} is wrong: {first['msg']}.")


def require_redis() -> None:
    """Stop the process at once, and say why, if it could do nothing but wait for Redis."""
    for name in ("celery_broker_url", "celery_result_backend", "ws_message_queue"):
        url = str(getattr(settings, name))
        try:
            with redis.Redis.from_url(
                url, socket_connect_timeout=1, socket_timeout=1, retry=Retry(NoBackoff(), 0)
            ) as client:
                client.ping()
        except (redis.RedisError, ValueError) as error:
            sys.exit(f"The setting {name.upper()} leads to no Redis that answers: {error}")


settings = load_settings()
