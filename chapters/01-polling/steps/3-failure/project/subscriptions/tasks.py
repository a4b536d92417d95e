"""The slow work, done by the Celery worker."""

import httpx
from celery import shared_task

from project.celery_utils import PublicError
from project.config import settings


class AddressRefused(PublicError):
    """The service answered 403: final."""


@shared_task(throws=(PublicError,))  # expected now and then: no traceback in the log
def subscribe(email: str) -> str:
    """Subscribe the address. A refusal is final."""
    # 5 seconds to connect, and no limit for the response.
    timeout = httpx.Timeout(None, connect=5)
    with httpx.Client(base_url=str(settings.newsletter_url), timeout=timeout) as client:
        answer = client.post("subscribers", json={"email": email})
    if answer.status_code == httpx.codes.FORBIDDEN:
        raise AddressRefused(f"The newsletter service refuses {email}.")
    result: str = answer.raise_for_status().json()
    return result
