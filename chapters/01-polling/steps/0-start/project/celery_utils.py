"""Celery: how it is set up."""

from celery import Celery

from project.config import settings


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
    )
    # current_app is this app in every thread, not only in the one that made it.
    celery.set_default()
    return celery
