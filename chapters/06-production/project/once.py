"""A task runs once, however often its message was sent.

A web process whose broker does not answer in time cannot know whether a message has arrived. It
sends another one with the same task id. Each message has a number of its own; the first that
a worker starts with is noted in Redis, and the others are ignored. A message that is *delivered*
again, because its worker died, has the same number: it runs.
"""

import logging
from functools import cache
from typing import Any

from celery import Task, states
from celery.exceptions import Ignore
from redis import Redis, RedisError
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from project.config import settings
from project.records import KEPT_SECONDS, number_key
from project.redis_clients import sync_client

logger = logging.getLogger(__name__)


class TaskThatRunsOnce(Task):  # type: ignore[misc]
    """What `@shared_task` makes of each function."""

    default_retry_delay = 1  # seconds until a task whose process was killed is run again

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        number = getattr(self.request, "message_number", None)
        if number and first_number(self.request.id, number) != number:
            logger.info("A second message for the same task is ignored.")
            raise Ignore
        # Celery would note this before a message can be ignored: task_track_started is off.
        self.update_state(state=states.STARTED)
        return super().__call__(*args, **kwargs)


def first_number(task_id: str, number: str) -> str:
    """The number of the message that this task runs for. Waits until Redis can tell."""

    def note() -> str:
        key = number_key(task_id)
        client().set(key, number, nx=True, ex=KEPT_SECONDS)
        return str(client().get(key) or number)

    until_redis_is_back = Retry(
        ExponentialWithJitterBackoff(cap=1, base=0.05), retries=-1, supported_errors=(RedisError,)
    )
    return until_redis_is_back.call_with_retry(
        note, lambda error: logger.warning("The task waits for Redis: %s", error)
    )


@cache
def client() -> Redis:
    return sync_client(settings.celery_result_backend)
