"""Chapter 4: a progress message that cannot be published fails no task."""

import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from course.processes import HOST
from course.testkit import RunningProject, expect

pytestmark = pytest.mark.thorough

TASKS = "project/subscriptions/tasks.py"


def forward(client: socket.socket, redis_port: int) -> None:
    """Forward to Redis and back, until something is published."""
    with client, socket.create_connection((HOST, redis_port)) as server, suppress(OSError):
        other = {client: server, server: client}
        while True:
            for side in select.select([client, server], [], [])[0]:
                data = side.recv(65_536)
                if not data or b"PUBLISH" in data.upper():
                    return
                other[side].sendall(data)


@contextmanager
def redis_that_goes_away(redis_port: int) -> Iterator[int]:
    """The port of a Redis that ends each connection on which a message is published."""

    def serve() -> None:
        with suppress(OSError):  # the listener is closed at the end
            while True:
                client, _ = listener.accept()
                threading.Thread(target=forward, args=(client, redis_port), daemon=True).start()

    with socket.create_server((HOST, 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def test_lost_progress_fails_no_task(
    project: RunningProject, own_project: Callable[..., RunningProject]
) -> None:
    """Redis goes away as the progress is published: the address is subscribed all the same."""
    with redis_that_goes_away(project.redis.port) as port:
        own = own_project(
            "web", "worker", "newsletter", WS_MESSAGE_QUEUE=f"redis://{HOST}:{port}/0"
        )
        status = own.until_final(own.subscribe("slow+0.1@example.com"), within=20)
    expect(
        "the state of the task",
        status["state"],
        "SUCCESS",
        usually="what the Redis client raises is not among the exceptions that are caught",
        look_at=TASKS,
    )
