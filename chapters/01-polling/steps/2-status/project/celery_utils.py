"""Celery: how it is set up, and what it knows about a task."""

from typing import Any

from celery import Celery, current_app
from celery.signals import worker_init
from pydantic import BaseModel

from project.config import require_redis, settings


def create_celery() -> Celery:
    celery = Celery("project", include=["project.subscriptions.tasks"])
    celery.conf.update(
        broker_url=str(settings.celery_broker_url),
        result_backend=str(settings.celery_result_backend),
        task_track_started=True,
        result_expires=3600,
    )
    # current_app is this app in every thread, not only in the one that made it.
    celery.set_default()
    return celery


worker_init.connect(require_redis)


class TaskStatus(BaseModel):
    task_id: str
    state: str
    result: Any = None
    error: str | None = None


def get_task_info(task_id: str) -> TaskStatus:
    """Query the result backend for the task. This blocks: keep it off the event loop."""
    task = current_app.AsyncResult(task_id)
    return TaskStatus(task_id=task_id, state=task.state, result=task.result)
