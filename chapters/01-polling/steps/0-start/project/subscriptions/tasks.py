"""The slow work."""

import httpx

from project.celery_utils import PublicError
from project.config import settings


class NewsletterBusy(PublicError):
    pass


class AddressRefused(PublicError):
    pass


def subscribe(email: str) -> str:
    """Subscribe the address. The newsletter service takes its time."""
    answer = httpx.post(f"{settings.newsletter_url}subscribers", json={"email": email}, timeout=600)
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        raise NewsletterBusy("The newsletter service is too busy.")
    if answer.status_code == httpx.codes.FORBIDDEN:
        raise AddressRefused(f"The newsletter service refuses {email}.")
    result: str = answer.raise_for_status().json()
    return result
