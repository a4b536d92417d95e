"""The task's calls of the newsletter service: the same in every chapter."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from course.processes import HOST, free_port
from course.testkit import RunningProject, eventually, expect, expect_that

TASKS = "project/subscriptions/tasks.py"
FINAL = {"SUCCESS", "FAILURE"}
pytestmark = pytest.mark.depends_on(TASKS, "newsletter.py")


class Dripping(BaseHTTPRequestHandler):
    """A service that sends its response a byte at a time, without an end."""

    def do_POST(self) -> None:
        try:
            self.send_response(201)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            while True:
                self.wfile.write(b" ")
                time.sleep(0.1)
        except OSError:  # the task has given up
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


class Accepting(BaseHTTPRequestHandler):
    """A service that accepts each address, and notes the paths of the requests."""

    paths: list[str] = []

    def do_POST(self) -> None:
        self.paths.append(self.path)
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b'"ok"')

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def service(handler: type[BaseHTTPRequestHandler], port: int) -> Iterator[None]:
    with ThreadingHTTPServer((HOST, port), handler) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


def test_service_that_takes_too_long_is_given_up(
    own_project: Callable[..., RunningProject],
) -> None:
    """A response that never ends is given up after NEWSLETTER_DEADLINE_SECONDS."""
    port = free_port()
    settings = {"NEWSLETTER_URL": f"http://{HOST}:{port}", "NEWSLETTER_DEADLINE_SECONDS": "1"}
    with service(Dripping, port):
        project = own_project("web", "worker", **settings)
        task_id = project.subscribe("ada@example.com")
        status = eventually(
            lambda: project.status(task_id),
            lambda status: status["state"] in FINAL,
            "the task ends",
            within=8,
            usually="the time-out of httpx is for each read, not for the whole response: "
            "give the task a soft_time_limit",
            look_at=TASKS,
        )
    expect("the state", status["state"], "FAILURE", look_at=TASKS)


def test_service_that_is_away_is_tried_again(own_project: Callable[..., RunningProject]) -> None:
    """While nothing listens at NEWSLETTER_URL the task is retried; a path in it is kept."""
    port = free_port()
    project = own_project("web", "worker", NEWSLETTER_URL=f"http://{HOST}:{port}/api")
    task_id = project.subscribe("ada@example.com")
    state = eventually(
        lambda: project.status(task_id)["state"],
        lambda state: state in FINAL | {"RETRY"},
        "the first attempt fails",
        within=8,
    )
    expect(
        "the state while the service is away",
        state,
        "RETRY",
        usually="the task has no autoretry_for httpx.TransportError",
        look_at=TASKS,
    )
    with service(Accepting, port):
        expect("the state in the end", project.until_final(task_id, within=15)["state"], "SUCCESS")
    expect_that(
        Accepting.paths[-1] == "/api/subscribers",
        "a request to /api/subscribers",
        Accepting.paths,
        usually="the URL is put together by hand; httpx.Client(base_url=...) keeps the path",
        look_at=TASKS,
    )
