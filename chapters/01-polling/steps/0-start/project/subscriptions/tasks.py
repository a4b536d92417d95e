"""The slow work."""

import httpx

from project.config import settings


def subscribe(email: str) -> str:
    """Subscribe the address. The newsletter service takes its time."""
    answer = post_subscriber(email)
    result: str = answer.raise_for_status().json()
    return result


def post_subscriber(email: str) -> httpx.Response:
    # 5 seconds to connect. httpx limits each read, not their sum: the task's time limit does.
    timeout = httpx.Timeout(None, connect=5)
    with httpx.Client(base_url=str(settings.newsletter_url), timeout=timeout) as client:
        return client.post("subscribers", json={"email": email})
