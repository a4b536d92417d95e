"""Celery: how it is set up."""

from celery import Celery
from celery.signals import worker_init

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
