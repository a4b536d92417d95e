"""The slow work, done by the Celery worker."""

import logging
from typing import Any

import httpx
from asgiref.sync import async_to_sync
from celery import Task, shared_task, states

from project.celery_utils import PublicError, TaskStatus
from project.config import settings
from project.ws.subscription import NOT_CONNECTED
from project.ws.views import publish

logger = logging.getLogger(__name__)


class NewsletterBusy(PublicError):
    """The service answered 503: worth another try."""


class AddressRefused(PublicError):
    """The service answered 403: final."""


@shared_task(
    bind=True,
    autoretry_for=(NewsletterBusy, httpx.TransportError),
    retry_backoff=1,  # the first retry after 1 second, then 2, 4, 8
    retry_jitter=False,
    max_retries=4,
    soft_time_limit=settings.newsletter_deadline_seconds,
    throws=(PublicError,),  # expected now and then: no traceback in the log
)
def subscribe(self: "Task[Any, Any]", email: str) -> str:
    """Subscribe the address. Retries while the service is busy or away; a refusal is final."""
    attempt, attempts = self.request.retries + 1, (self.max_retries or 0) + 1
    publish_progress(
        self.request.id, f"calling the newsletter service, attempt {attempt} of {attempts}"
    )
    # 5 seconds to connect, none for the answer: soft_time_limit limits each run as a whole.
    timeout = httpx.Timeout(None, connect=5)
    with httpx.Client(base_url=str(settings.newsletter_url), timeout=timeout) as client:
        answer = client.post("subscribers", json={"email": email})
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        publish_progress(self.request.id, f"the newsletter service is busy, attempt {attempt}")
        raise NewsletterBusy("The newsletter service is too busy.")
    if answer.status_code == httpx.codes.FORBIDDEN:
        raise AddressRefused(f"The newsletter service refuses {email}.")
    result: str = answer.raise_for_status().json()
    return result


def publish_progress(task_id: str, progress: str) -> None:
    """Publish how far the task is. A task is sync and publishing is async: async_to_sync."""
    info = TaskStatus(task_id=task_id, state=states.STARTED, progress=progress)
    try:
        async_to_sync(publish)(info)
    except NOT_CONNECTED as error:  # a message is lost, the work goes on
        logger.warning("Progress was not published: %r", error)
