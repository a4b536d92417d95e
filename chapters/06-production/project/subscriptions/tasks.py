"""The slow work, done by the Celery worker."""

import httpx
from celery import shared_task

from project.celery_utils import PublicError
from project.config import settings


class NewsletterBusy(PublicError):
    pass


class AddressRefused(PublicError):
    pass


@shared_task(
    autoretry_for=(NewsletterBusy,),
    retry_backoff=1,  # the first retry after 1 second, then 2, 4, 8
    retry_jitter=False,
    max_retries=4,
    throws=(PublicError,),  # expected now and then: no traceback in the log
)
def subscribe(email: str) -> str:
    """Subscribe the address. Retries while the service is busy; a refusal is final."""
    answer = httpx.post(f"{settings.newsletter_url}subscribers", json={"email": email}, timeout=600)
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        raise NewsletterBusy("The newsletter service is too busy.")
    if answer.status_code == httpx.codes.FORBIDDEN:
        raise AddressRefused(f"The newsletter service refuses {email}.")
    result: str = answer.raise_for_status().json()
    return result
