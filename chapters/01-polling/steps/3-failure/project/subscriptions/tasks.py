"""The slow work, done by the Celery worker."""

import httpx
from celery import shared_task

from project.celery_utils import PublicError
from project.config import settings


class AddressRefused(PublicError):
    pass


@shared_task(throws=(PublicError,))  # expected now and then: no traceback in the log
def subscribe(email: str) -> str:
    """Subscribe the address. A refusal is final."""
    answer = httpx.post(f"{settings.newsletter_url}subscribers", json={"email": email}, timeout=600)
    if answer.status_code == httpx.codes.FORBIDDEN:
        raise AddressRefused(f"The newsletter service refuses {email}.")
    result: str = answer.raise_for_status().json()
    return result
