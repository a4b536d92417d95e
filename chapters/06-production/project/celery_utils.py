"""Celery: how it is set up, what it knows about a task, and what it does when one ends."""

import logging
from datetime import UTC, datetime
from typing import Any

from celery import Celery, states
from celery.signals import celeryd_init, task_failure, task_postrun, task_retry, task_revoked
from pydantic import BaseModel

from project.broker import use_patient_transports
from project.config import settings
from project.results import patient_backend

PUBLIC_TASKS = {"project.subscriptions.tasks.subscribe"}
TIME_LIMITS = {"socket_connect_timeout": 1, "socket_timeout": 1}  # seconds
# Seconds between two searches for tasks that dead workers have left, and after which the search
# of a worker that died in it is forgotten.
RESTORE_EVERY, RESTORE_LOCK = 5, 30

logger = logging.getLogger(__name__)


def create_celery() -> Celery:
    use_patient_transports()
    celery = Celery(
        "project",
        broker=settings.celery_broker_url,
        backend=patient_backend(settings.celery_result_backend),
        include=["project.subscriptions.tasks"],
        task_cls="project.once:TaskThatRunsOnce",
    )
    celery.conf.update(
        task_default_queue=settings.celery_queue,
        result_expires=24 * 3600,
        result_extended=True,  # the task's name is stored, too
        # A task is done when it has ended, not when it was received: if its worker dies, another
        # worker runs it, perhaps a second time. Subscribing twice does no harm.
        task_acks_late=True,
        worker_prefetch_multiplier=1,  # what a worker holds back, its death or Redis's delays
        # A task whose pool process was killed is run again, as a retry: a task that kills each
        # process it runs in ends as FAILURE after its max_retries.
        task_retry_on_worker_lost=True,
        task_reject_on_worker_lost=True,  # if the retry cannot be sent
        # A task is killed before Redis would give it to another worker as well.
        task_time_limit=settings.task_time_limit,
        # While Redis is away, a request gets its error within 3 seconds, not after 20 tries.
        task_publish_retry=False,
        broker_connection_timeout=1,
        # A Redis that refuses to write (it is full, a replica, cannot save) is like one that is
        # away: the worker connects again. Otherwise it would end.
        broker_channel_error_retry=True,
        broker_transport_options=transport_options(),
        result_backend_transport_options={"master_name": settings.sentinel_master},
        redis_socket_connect_timeout=TIME_LIMITS["socket_connect_timeout"],
        redis_socket_timeout=TIME_LIMITS["socket_timeout"],
    )
    # current_app is this app in every thread, not only in the one that made it.
    celery.set_default()
    return celery


def transport_options() -> dict[str, Any]:
    if settings.celery_broker_url.startswith("amqp"):
        # RabbitMQ knows by the connection that a worker died, and confirms that it has a message.
        return {"confirm_publish": True, "max_retries": 1, "interval_start": 0}
    return TIME_LIMITS | {
        "max_retries": 1,
        "interval_start": 0,
        "master_name": settings.sentinel_master,
        "visibility_timeout": settings.celery_visibility_timeout,
        "unacked_restore_interval": RESTORE_EVERY,
        "unacked_restore_throttle": 1,
        "unacked_mutex_expire": RESTORE_LOCK,
    }


class PublicError(Exception):
    """An error whose text may be shown to the person who started the task."""


class TaskStatus(BaseModel):
    task_id: str
    state: str
    result: Any = None
    error: str | None = None
    date_done: datetime | None = None


def describe(
    task_id: str, state: str, task_name: str | None, result: Any, date_done: Any
) -> TaskStatus:
    """The task's status, without what is nobody's business."""
    info = TaskStatus(task_id=task_id, state=state)
    # Somebody else's task may share the backend. Its state is all that is sent.
    if state not in states.READY_STATES or task_name not in PUBLIC_TASKS:
        return info
    info = TaskStatus(task_id=task_id, state=state, date_done=date_done)
    if state == states.SUCCESS:
        info.result = result
    if state == states.FAILURE:
        # An exception's text can hold secrets. Only what was written for the public goes out.
        public = isinstance(result, PublicError)
        info.error = str(result) if public else type(result).__name__
    return info


def status_from_meta(task_id: str, meta: dict[str, Any] | None) -> TaskStatus:
    """The status as the result backend has it: `meta` is what Celery has stored, if anything."""
    if meta is None:
        return TaskStatus(task_id=task_id, state=states.PENDING)
    return describe(
        task_id, meta["status"], meta.get("name"), meta.get("result"), meta.get("date_done")
    )


def publish_state(task: Any, task_id: str, state: str, result: Any) -> None:
    from project.ws.publish import publish

    publish(describe(task_id, state, task.name, result, datetime.now(UTC)))


@celeryd_init.connect
def keep_results(conf: Any, **kwargs: Any) -> None:
    """A worker holds on to a result until Redis takes it. A web request must not wait like that."""
    conf.result_backend_always_retry = True
    conf.result_backend_max_sleep_between_retries_ms = 1000


# The signal brings what has happened: nothing has to be queried. The others have their own signals.
@task_postrun.connect
def task_postrun_handler(
    task_id: str, task: Any, state: str | None, retval: Any, **kwargs: Any
) -> None:
    if state == states.SUCCESS:
        publish_state(task, task_id, states.SUCCESS, retval)


# This and task_failure are sent in the process that ran the task, and in the worker's main process
# for one that was killed.
@task_retry.connect
def task_retry_handler(request: Any, sender: Any, **kwargs: Any) -> None:
    publish_state(sender, request.id, states.RETRY, None)


@task_failure.connect
def task_failure_handler(task_id: str, sender: Any, exception: Any, **kwargs: Any) -> None:
    publish_state(sender, task_id, states.FAILURE, exception)


# One revoked before it runs sends no task_postrun; one that is terminated, before this is stored.
@task_revoked.connect
def task_revoked_handler(request: Any, sender: Any, **kwargs: Any) -> None:
    publish_state(sender, request.id, states.REVOKED, None)
