"""The worker's side: publish a task's status to the web processes whose clients follow the task."""

import logging
import time
from functools import cache

from redis import Redis, RedisError

from project.celery_utils import TaskStatus
from project.config import settings
from project.metrics import TASKS_BY_STATE
from project.redis_clients import sync_client

CHANNEL = "newsletter:task:"  # pub/sub channels are global to a Redis server: ours have a prefix

logger = logging.getLogger(__name__)


class Message(TaskStatus):
    """What is published: a status, and the worker's time, in seconds since 1970."""

    published_at: float = 0


def publish(status: TaskStatus) -> None:
    """Publish the status; give up after a second or two, as the pool process has tasks to run."""
    message = Message(**status.model_dump(), published_at=time.time())
    try:
        with client().pipeline(transaction=False) as pipe:
            pipe.publish(CHANNEL + status.task_id, message.model_dump_json())
            pipe.hincrby(TASKS_BY_STATE, status.state, 1)
            # A full Redis still publishes. What it does not count is no reason to complain.
            published, _ = pipe.execute(raise_on_error=False)
    except RedisError as error:
        published = error
    if isinstance(published, RedisError):
        # The web processes' fallback polls find what is not published.
        logger.warning("Not published: %s", published, extra={"task_id": status.task_id})


@cache
def client() -> Redis:
    """Made on first use, in each pool process; redis-py gives each its own connections."""
    return sync_client(settings.ws_message_queue)
