"""Celery: how it is set up."""

from celery import Celery

from project.config import settings

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
        # While Redis is away, a request gets its error within 3 seconds, not after 20 tries.
        task_publish_retry=False,
        broker_transport_options=TIME_LIMITS | {"max_retries": 1, "interval_start": 0},
        redis_socket_connect_timeout=TIME_LIMITS["socket_connect_timeout"],
        redis_socket_timeout=TIME_LIMITS["socket_timeout"],
    )
    # current_app is this app in every thread, not only in the one that made it.
    celery.set_default()
    return celery


class PublicError(Exception):
    """An error whose text may be shown to the person who asked."""
