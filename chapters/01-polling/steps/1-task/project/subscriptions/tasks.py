"""The slow work, done by the Celery worker."""

import httpx
from celery import shared_task

from project.config import settings


@shared_task
def subscribe(email: str) -> str:
    """Subscribe the address. The newsletter service takes its time."""
    # 5 seconds to connect, and no limit for the response.
    timeout = httpx.Timeout(None, connect=5)
    with httpx.Client(base_url=str(settings.newsletter_url), timeout=timeout) as client:
        answer = client.post("subscribers", json={"email": email})
    result: str = answer.raise_for_status().json()
    return result
