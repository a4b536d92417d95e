"""Who a browser is: a random id in a signed cookie, which a page's scripts cannot read."""

import hashlib
import secrets
import uuid

from fastapi import FastAPI
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import HTTPConnection

from project.config import settings


def add_sessions(app: FastAPI) -> None:
    app.add_middleware(
        SessionMiddleware,
        secret_key=settings.session_secret.get_secret_value(),
        session_cookie="newsletter",
        same_site="lax",  # the cookie does not come with another site's POST
        https_only=settings.environment == "production",
    )


def session_id(connection: HTTPConnection) -> str:
    """The id of this browser's session; empty if it has none."""
    return str(connection.session.get("id", ""))


def start_session(connection: HTTPConnection) -> str:
    if "id" not in connection.session:
        connection.session["id"] = secrets.token_urlsafe(16)
    return session_id(connection)


def known_store(connection: HTTPConnection) -> str:
    """The id of the store in which this browser's last task was noted; empty if it has none."""
    return str(connection.session.get("store", ""))


def remember_store(connection: HTTPConnection, store_id: str) -> None:
    if known_store(connection) != store_id:
        connection.session["store"] = store_id


def new_task_id(owner: str, idempotency_key: str | None, content: str) -> str:
    """A random id, or for a repeated request the same one. Not to be guessed without the cookie."""
    if idempotency_key is None:
        return str(uuid.uuid4())
    digest = hashlib.sha256(f"{owner}\n{idempotency_key}\n{content}".encode()).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4))
