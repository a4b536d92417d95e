"""The slow work."""

import httpx

from project.config import settings


def subscribe(email: str) -> str:
    """Subscribe the address. The newsletter service takes its time."""
    answer = httpx.post(f"{settings.newsletter_url}subscribers", json={"email": email}, timeout=600)
    result: str = answer.raise_for_status().json()
    return result
