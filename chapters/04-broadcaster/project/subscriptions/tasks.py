"""The slow work, done by the Celery worker."""

import logging
from typing import Any

import httpx
from asgiref.sync import async_to_sync
from celery import Task, shared_task, states

from project.celery_utils import PublicError, TaskStatus
from project.config import settings

logger = logging.getLogger(__name__)


class NewsletterBusy(PublicError):
    pass


class AddressRefused(PublicError):
    pass


@shared_task(
    bind=True,
    autoretry_for=(NewsletterBusy,),
    retry_backoff=1,  # the first retry after 1 second, then 2, 4, 8
    retry_jitter=False,
    max_retries=4,
    throws=(PublicError,),  # expected now and then: no traceback in the log
)
def subscribe(self: "Task[Any, Any]", email: str) -> str:
    """Subscribe the address. Retries while the service is busy; a refusal is final."""
    attempt, attempts = self.request.retries + 1, (self.max_retries or 0) + 1
    tell(self.request.id, f"calling the newsletter service, attempt {attempt} of {attempts}")
    answer = httpx.post(f"{settings.newsletter_url}subscribers", json={"email": email}, timeout=600)
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        tell(self.request.id, f"the newsletter service is busy, after attempt {attempt}")
        raise NewsletterBusy("The newsletter service is too busy.")
    if answer.status_code == httpx.codes.FORBIDDEN:
        raise AddressRefused(f"The newsletter service refuses {email}.")
    result: str = answer.raise_for_status().json()
    return result


def tell(task_id: str, progress: str) -> None:
    """Publish how far the task is. A task is sync and publishing is async: async_to_sync."""
    from project.ws.views import publish

    info = TaskStatus(task_id=task_id, state=states.STARTED, progress=progress)
    try:
        async_to_sync(publish)(info)
    except (TimeoutError, OSError) as error:  # news is lost, the work goes on
        logger.warning("Progress was not published: %r", error)
