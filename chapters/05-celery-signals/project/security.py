"""What keeps strangers from harming the app: hosts, sizes, headers, origins, numbers of sockets."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import UUID

from fastapi import FastAPI, Request, Response, WebSocket, WebSocketException, status
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from project.config import settings

LARGEST_BODY = 10_000  # bytes of a request
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}

open_sockets: Counter[str] = Counter()  # by client address, and by task id


def protect(app: FastAPI) -> None:
    app.middleware("http")(add_headers)
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=LARGEST_BODY)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=settings.allowed_hosts)


async def add_headers(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    response = await call_next(request)
    response.headers.update(HEADERS)
    return response


def check_origin(websocket: WebSocket) -> None:
    """Refuse other sites' pages, and whoever names no origin: browsers ask nobody but us."""
    origin = websocket.headers.get("origin", "")
    is_ours = origin.partition("://")[2] == websocket.headers["host"]
    if not is_ours and origin not in settings.allowed_origins:
        raise WebSocketException(status.WS_1008_POLICY_VIOLATION)


async def count_socket(websocket: WebSocket, task_id: UUID) -> AsyncIterator[None]:
    """Refuse a socket that is one too many for its client or for its task."""
    client = websocket.client.host if websocket.client else ""
    limits = {client: settings.ws_most_per_client, str(task_id): settings.ws_most_per_task}
    if any(open_sockets[key] >= limit for key, limit in limits.items()):
        raise WebSocketException(status.WS_1013_TRY_AGAIN_LATER)
    open_sockets.update(limits.keys())
    try:
        yield
    finally:
        open_sockets.subtract(limits.keys())
        for key in limits:
            if not open_sockets[key]:
                del open_sockets[key]
