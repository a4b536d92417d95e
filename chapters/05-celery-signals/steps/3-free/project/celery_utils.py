"""Celery: how it is set up, what it knows about a task, and what it does when one ends."""

from datetime import datetime
from typing import Any

from asgiref.sync import async_to_sync
from celery import Celery, current_app, states
from celery.signals import task_postrun, worker_init
from pydantic import BaseModel

from project.config import require_redis, settings

TIME_LIMITS = {"socket_connect_timeout": 1, "socket_timeout": 1}  # seconds


def create_celery() -> Celery:
    celery = Celery("project", include=["project.subscriptions.tasks"])
    celery.conf.update(
        broker_url=str(settings.celery_broker_url),
        result_backend=str(settings.celery_result_backend),
        task_track_started=True,
        result_expires=3600,
        # While Redis is away, a request gets its error within 3 seconds, not after 20 tries.
        task_publish_retry=False,
        broker_transport_options=TIME_LIMITS | {"max_retries": 1, "interval_start": 0},
        redis_socket_connect_timeout=TIME_LIMITS["socket_connect_timeout"],
        redis_socket_timeout=TIME_LIMITS["socket_timeout"],
    )
    # current_app is this app in every thread, not only in the one that made it.
    celery.set_default()
    return celery


worker_init.connect(require_redis)


class PublicError(Exception):
    """An error whose text may be shown to the person who started the task."""


class TaskStatus(BaseModel):
    task_id: str
    state: str
    result: Any = None
    error: str | None = None
    date_done: datetime | None = None


def get_task_info(task_id: str) -> TaskStatus:
    """Query the result backend for the task. This blocks: keep it off the event loop."""
    task = current_app.AsyncResult(task_id)
    info = TaskStatus(task_id=task_id, state=task.state)
    if info.state == states.SUCCESS:
        info.result = task.result
    if info.state == states.FAILURE:
        # An exception's text can hold secrets. Only what was written for the public goes out.
        public = isinstance(task.result, PublicError)
        info.error = str(task.result) if public else type(task.result).__name__
    if info.state in states.READY_STATES:
        info.date_done = task.date_done
    return info


@task_postrun.connect
def task_postrun_handler(task_id, **kwargs):
    from project.ws.views import update_celery_task_status

    async_to_sync(update_celery_task_status)(task_id)
