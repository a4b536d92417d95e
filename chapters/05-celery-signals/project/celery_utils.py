"""Celery: how it is set up, what it knows about a task, and what it does when one ends."""

from datetime import datetime
from typing import Any

from celery import Celery, current_app, states
from celery.signals import celeryd_init, task_failure, task_postrun, task_revoked
from pydantic import BaseModel

from project.config import settings
from project.ws.kept import kept_async_to_sync

PUBLIC_TASKS = {"project.subscriptions.tasks.subscribe"}
TIME_LIMITS = {"socket_connect_timeout": 1, "socket_timeout": 1}  # seconds


def create_celery() -> Celery:
    celery = Celery(
        "project",
        broker=str(settings.celery_broker_url),
        backend=str(settings.celery_result_backend),
        include=["project.subscriptions.tasks"],
    )
    celery.conf.update(
        task_track_started=True,
        result_expires=3600,
        result_extended=True,  # the task's name is stored, too
        # A task is done when it has ended, not when it was received: if its worker dies, another
        # worker runs it, perhaps a second time. Subscribing twice does no harm.
        task_acks_late=True,
        worker_prefetch_multiplier=1,  # what a worker holds back, its death or Redis's delays
        # While Redis is away, a request gets its error within 3 seconds, not after 20 tries.
        task_publish_retry=False,
        broker_transport_options=TIME_LIMITS
        | {"max_retries": 1, "interval_start": 0}
        | {"visibility_timeout": settings.celery_visibility_timeout},
        redis_socket_connect_timeout=TIME_LIMITS["socket_connect_timeout"],
        redis_socket_timeout=TIME_LIMITS["socket_timeout"],
    )
    # current_app is this app in every thread, not only in the one that made it.
    celery.set_default()
    return celery


class PublicError(Exception):
    """An error whose text may be shown to the person who started the task."""


class TaskStatus(BaseModel):
    task_id: str
    state: str
    result: Any = None
    error: str | None = None
    date_done: datetime | None = None


def get_task_info(task_id: str) -> TaskStatus:
    """Look the task up in the result backend. This blocks: keep it off the event loop."""
    task = current_app.AsyncResult(task_id)
    info = TaskStatus(task_id=task_id, state=task.state)
    # Somebody else's task may share the backend. Its state is all that we tell.
    if info.state not in states.READY_STATES or task.name not in PUBLIC_TASKS:
        return info
    info.date_done = task.date_done
    if info.state == states.SUCCESS:
        info.result = task.result
    if info.state == states.FAILURE:
        # An exception's text can hold secrets. Only what was written for the public goes out.
        public = isinstance(task.result, PublicError)
        info.error = str(task.result) if public else type(task.result).__name__
    return info


@celeryd_init.connect
def keep_results(conf: Any, **kwargs: Any) -> None:
    """A worker holds on to a result until Redis takes it. A web request must not wait like that."""
    conf.result_backend_always_retry = True
    conf.result_backend_max_sleep_between_retries_ms = 1000


@task_postrun.connect
def task_postrun_handler(task_id: str, **kwargs: Any) -> None:
    from project.ws.views import update_celery_task_status

    kept_async_to_sync(update_celery_task_status)(task_id)


# A process that was killed sends no task_postrun, nor does a task that was revoked before it ran.
@task_failure.connect
def task_failure_handler(task_id: str, **kwargs: Any) -> None:
    task_postrun_handler(task_id)


@task_revoked.connect
def task_revoked_handler(request: Any, **kwargs: Any) -> None:
    task_postrun_handler(request.id)
