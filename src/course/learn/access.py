"""Who gets in: the browser of the person who started the command, and no other client.

The server listens on loopback. The address that the command prints has a token, which is exchanged
for a cookie with a redirect: the token stays in no address bar and in no history. From then on each
request needs the cookie, a Host that names this server, and, if it may change anything or opens a
WebSocket, an Origin that is this server's own. A cookie goes to every port of a host, so that
Origin, not the cookie, keeps the pages of other local servers out.

The cookie is derived from a key in .venv: when the command is started again, an open page comes
back without a new address.
"""

import hashlib
import hmac
import os
import secrets
from pathlib import Path
from urllib.parse import urlencode

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketClose

from course.processes import HOST

ENTRANCE = "/enter"
READS = ("GET", "HEAD")
NOT_LET_IN = (
    "This page is open to one browser alone. "
    "Open the address that the command has printed in its terminal.\n"
)
# The site's own pages have inline scripts; what other origins could do with it is closed.
HEADERS = {
    b"content-security-policy": b"base-uri 'self'; connect-src 'self'; form-action 'self'; "
    b"frame-ancestors 'none'; object-src 'none'",
    b"cross-origin-resource-policy": b"same-origin",
    b"referrer-policy": b"no-referrer",
    b"x-content-type-options": b"nosniff",
    b"cache-control": b"no-store",
}


class Access:
    """The token, the cookie, and the names of a server at this port."""

    def __init__(self, port: int, key_file: Path) -> None:
        self.names = {f"{HOST}:{port}", f"localhost:{port}"}
        if port == 80:  # which a browser leaves out
            self.names |= {HOST, "localhost"}
        self.cookie_name = f"course-learn-{port}"  # cookies know no ports: two servers, two names
        self._token = secrets.token_urlsafe(32)
        self._cookie = hmac.digest(read_key(key_file), b"learn", hashlib.sha256).hex()
        self._url = f"http://{HOST}:{port}{ENTRANCE}"

    def address(self, then: str) -> str:
        """The address that lets a browser in, and leads to that path."""
        return f"{self._url}?{urlencode({'token': self._token, 'then': then}, safe='/')}"

    def is_own_host(self, headers: Headers) -> bool:
        return headers.get("host", "") in self.names

    def is_own_origin(self, headers: Headers) -> bool:
        return headers.get("origin") == f"http://{headers.get('host')}"

    def is_let_in(self, connection: HTTPConnection) -> bool:
        given = connection.cookies.get(self.cookie_name, "")
        return secrets.compare_digest(given.encode(), self._cookie.encode())

    def enter(self, request: Request) -> Response:
        """Exchange the token for the cookie."""
        given = request.query_params.get("token", "")
        if not secrets.compare_digest(given.encode(), self._token.encode()):
            return not_let_in()
        then = request.query_params.get("then", "/")
        # One slash: "//evil.example" would be another server.
        there = f"/{then.lstrip('/')}" if "\\" not in then else "/"
        answer = RedirectResponse(there, 303)
        answer.set_cookie(self.cookie_name, self._cookie, httponly=True, samesite="strict")
        return answer


def not_let_in() -> Response:
    return PlainTextResponse(NOT_LET_IN, 403)


def read_key(file: Path) -> bytes:
    """The key of this course's folder, made on first use. Without a place for it, a new one."""
    try:
        key = file.read_bytes()
        if len(key) >= 32:
            return key
    except OSError:
        pass
    key = secrets.token_bytes(32)
    fresh = file.with_suffix(f".{os.getpid()}.new")
    try:
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as target:
            target.write(key)
        fresh.replace(file)
    except OSError:
        pass
    return key


class OwnBrowserOnly:
    """Lets through what Access lets in, and adds HEADERS to each answer."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            socket = WebSocket(scope, receive, send)
            if self._is_welcome(socket, needs_origin=True):
                await self._app(scope, receive, send)
            else:
                await WebSocketClose(1008)(scope, receive, send)  # before accept(): HTTP 403
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *HEADERS.items()]}
            await send(message)

        request = Request(scope)
        if not self._access.is_own_host(request.headers):
            answer = PlainTextResponse("This server has another name.\n", 400)
            await answer(scope, receive, send_with_headers)
        elif request.url.path == ENTRANCE and request.method in READS:
            await self._access.enter(request)(scope, receive, send_with_headers)
        elif self._is_welcome(request, needs_origin=request.method not in READS):
            await self._app(scope, receive, send_with_headers)
        else:
            await not_let_in()(scope, receive, send_with_headers)

    def _is_welcome(self, connection: HTTPConnection, needs_origin: bool) -> bool:
        access, headers = self._access, connection.headers
        return (
            access.is_own_host(headers)
            and access.is_let_in(connection)
            and (not needs_origin or access.is_own_origin(headers))
        )
