"""The slow work, done by the Celery worker."""

import httpx
from celery import shared_task

from project.celery_utils import PublicError
from project.config import settings


class NewsletterBusy(PublicError):
    """The service answered 503: worth another try."""


class AddressRefused(PublicError):
    """The service answered 403: final."""


@shared_task(
    autoretry_for=(NewsletterBusy, httpx.TransportError),
    retry_backoff=1,  # the first retry after 1 second, then 2, 4, 8
    retry_jitter=False,
    max_retries=4,
    soft_time_limit=settings.newsletter_deadline_seconds,
    throws=(PublicError,),  # expected now and then: no traceback in the log
)
def subscribe(email: str) -> str:
    """Subscribe the address. Retries while the service is busy or away; a refusal is final."""
    # 5 seconds to connect, none for the answer: soft_time_limit limits each run as a whole.
    timeout = httpx.Timeout(None, connect=5)
    with httpx.Client(base_url=str(settings.newsletter_url), timeout=timeout) as client:
        answer = client.post("subscribers", json={"email": email})
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        raise NewsletterBusy("The newsletter service is too busy.")
    if answer.status_code == httpx.codes.FORBIDDEN:
        raise AddressRefused(f"The newsletter service refuses {email}.")
    result: str = answer.raise_for_status().json()
    return result
