"""A WebSocket at any path of the project: opened as a page does, and closed to other sites."""

from collections.abc import Iterator
from contextlib import contextmanager

from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from course.testkit.expect import NotAsExpected, expect
from course.testkit.follower import WS_VIEWS
from course.testkit.launched import Web


@contextmanager
def socket_at(web: Web, path: str, origin: str = "") -> Iterator[ClientConnection]:
    """A socket of the page's own origin, or of another. Raises NotAsExpected if it is refused."""
    __tracebackhide__ = True
    url = web.url.replace("http", "ws") + path
    try:
        connection = connect(url, origin=Origin(origin or web.origin), close_timeout=2)
    except InvalidStatus as refused:
        raise NotAsExpected(
            f"the handshake at {path} is accepted",
            f"HTTP {refused.response.status_code}",
            "there is no WebSocket at that path (the server answers 403 to that, too)",
            WS_VIEWS,
        ) from None
    with connection:
        yield connection


def expect_own_origin_alone(web: Web, path: str) -> None:
    """The page's own origin may open the socket, and another site's may not."""
    __tracebackhide__ = True
    with socket_at(web, path):
        pass
    try:
        with socket_at(web, path, "https://evil.example"):
            seen = "it was opened"
    except NotAsExpected as refused:
        seen = refused.seen
    expect(
        "a handshake with Origin: https://evil.example",
        seen,
        "HTTP 403",
        usually="dependencies belong to one route: this one needs check_origin, too",
        look_at=WS_VIEWS,
    )
