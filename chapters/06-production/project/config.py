"""Settings, read from the environment. A wrong one stops the process with one sentence."""

import os
import sys
from typing import Annotated, Literal, NoReturn
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    AfterValidator,
    AliasChoices,
    Field,
    HttpUrl,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, NoDecode

REDIS_URL = "redis://127.0.0.1:6379/0"
DEVELOPMENT_SECRET = "for development alone: everybody can read it here"  # compose.yaml's, too
SHORTEST_SECRET = 32  # characters
REDIS_SCHEMES = ("redis", "rediss", "sentinel")
BROKER_SCHEMES = (*REDIS_SCHEMES, "amqp", "amqps")


def has_scheme(*schemes: str) -> AfterValidator:
    def check(url: str) -> str:
        # A list of sentinels is not one URL: sentinel://one:26379;sentinel://two:26379
        for part in map(urlsplit, url.split(";")):
            if part.scheme not in schemes:
                raise ValueError(f"it starts with none of {', '.join(s + '://' for s in schemes)}")
            # No part of the URL is repeated here: with a wrong one, it may be of the password.
            database = part.path.strip("/")
            if part.scheme in REDIS_SCHEMES and database and not database.isdecimal():
                raise ValueError("what follows the address is no number of a database")
            if not has_port(part):
                raise ValueError("it has no valid port; a / in a password is written as %2F")
        return url

    return AfterValidator(check)


def has_port(url: SplitResult) -> bool:
    try:
        return url.port != 0
    except ValueError:
        return False


RedisUrl = Annotated[str, has_scheme(*REDIS_SCHEMES)]
BrokerUrl = Annotated[str, has_scheme(*BROKER_SCHEMES)]


class Settings(BaseSettings):
    # Each may name a server of its own. What is not set is REDIS_URL.
    celery_broker_url: BrokerUrl = Field(
        default=REDIS_URL, validation_alias=AliasChoices("celery_broker_url", "redis_url")
    )
    celery_result_backend: RedisUrl = Field(
        default=REDIS_URL, validation_alias=AliasChoices("celery_result_backend", "redis_url")
    )
    ws_message_queue: RedisUrl = Field(
        default=REDIS_URL, validation_alias=AliasChoices("ws_message_queue", "redis_url")
    )
    sentinel_master: str = "mymaster"  # the name that the sentinels know the master by
    newsletter_url: HttpUrl = HttpUrl("http://127.0.0.1:8011")
    # How long one call of the newsletter service may take in all, in seconds.
    newsletter_deadline_seconds: float = Field(default=600, gt=0)

    environment: Literal["development", "production"] = "development"
    # Signs the session cookie: who has it can forge any session.
    session_secret: SecretStr = SecretStr(DEVELOPMENT_SECRET)
    log_format: Literal["text", "json"] = "text"

    # Names under which this app is reached, separated by commas: another Host is refused.
    allowed_hosts: Annotated[list[str], NoDecode] = ["127.0.0.1", "localhost"]
    # Origins of other sites whose pages may open our WebSocket, separated by commas.
    allowed_origins: Annotated[list[str], NoDecode] = []

    # All of these are in seconds.
    ws_fallback_poll_seconds: float = Field(default=10, gt=0)  # a message may get lost
    # A page notices a dead server by it. Before the first one has come, it waits 40 seconds.
    ws_heartbeat_seconds: float = Field(default=15, gt=0, le=30)
    ws_deadline_seconds: float = Field(default=1200, gt=0)  # for which a socket waits for a task
    ws_send_seconds: float = Field(default=5, gt=0)  # in which a client has to take its message

    # One client address: how many sockets, and how many tasks it may start in a minute.
    ws_most_per_client: int = Field(default=1000, gt=0)
    ws_most_per_task: int = Field(default=100, gt=0)
    tasks_per_minute: int = Field(default=600, gt=0)

    celery_queue: str = "celery"
    # After this many seconds, Redis gives a task that was not done to another worker. A task is
    # killed before that: it never runs twice at the same time.
    celery_visibility_timeout: int = Field(default=700, gt=1)

    @property
    def task_time_limit(self) -> float:
        return self.celery_visibility_timeout * 0.9

    @field_validator("allowed_origins", "allowed_hosts", mode="before")
    @classmethod
    def split(cls, names: str | list[str]) -> list[str]:
        listed = names.split(",") if isinstance(names, str) else names
        return [name.strip() for name in listed if name.strip()]

    @field_validator("celery_visibility_timeout")
    @classmethod
    def is_longer_than_a_task(cls, seconds: int, info: ValidationInfo) -> int:
        if info.data.get("newsletter_deadline_seconds", 0) > seconds * 0.9:
            raise ValueError("NEWSLETTER_DEADLINE_SECONDS may be nine tenths of it at most")
        return seconds

    @field_validator("allowed_hosts")
    @classmethod
    def are_hosts(cls, hosts: list[str]) -> list[str]:
        for host in hosts:
            if "*" in host.removeprefix("*.") and host != "*":
                raise ValueError(f"{host} is no host: a wildcard is *.example.com, or * for all")
        return hosts


def load_settings() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        stop_process(f"The setting {str(first['loc'][0]).upper()} is wrong: {first['msg']}.")


def require_secret() -> None:
    """Stop a web process in production whose cookies anybody could sign."""
    secret = settings.session_secret.get_secret_value()
    if settings.environment == "development":
        return
    if secret.startswith("for development") or len(secret) < SHORTEST_SECRET:
        stop_process(
            f"The setting SESSION_SECRET is missing, the one for development, or shorter than "
            f"{SHORTEST_SECRET} characters: anybody could sign a session."
        )


def stop_process(sentence: str) -> NoReturn:
    print(sentence, file=sys.stderr, flush=True)
    os._exit(1)  # not sys.exit: uvicorn logs what leaves the lifespan with its traceback


settings = load_settings()
