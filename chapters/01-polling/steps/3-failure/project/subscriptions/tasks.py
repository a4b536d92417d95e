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
    answer = post_subscriber(email)
    if answer.status_code == httpx.codes.FORBIDDEN:
        raise AddressRefused(f"The newsletter service refuses {email}.")
    result: str = answer.raise_for_status().json()
    return result


def post_subscriber(email: str) -> httpx.Response:
    # 5 seconds to connect. httpx limits each read, not their sum: the task's time limit does.
    timeout = httpx.Timeout(None, connect=5)
    with httpx.Client(base_url=str(settings.newsletter_url), timeout=timeout) as client:
        return client.post("subscribers", json={"email": email})
