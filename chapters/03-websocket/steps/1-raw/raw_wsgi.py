"""The same page under WSGI, where one call is one request and one answer: it can only be HTTP.

Run it:  python raw_wsgi.py   Then open http://127.0.0.1:8013/
"""

from collections.abc import Iterable
from pathlib import Path
from wsgiref.simple_server import make_server
from wsgiref.types import StartResponse, WSGIEnvironment

PAGE = Path(__file__).with_name("raw_page.html").read_bytes()


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    if environ.get("HTTP_UPGRADE", "").lower() == "websocket":
        # There is no receive and no send to give: what we return is the whole conversation.
        start_response("501 Not Implemented", [("Content-Type", "text/plain")])
        return [b"WSGI has no WebSocket."]
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [PAGE]


if __name__ == "__main__":
    with make_server("127.0.0.1", 8013, app) as server:
        print("WSGI on http://127.0.0.1:8013/")
        server.serve_forever()
