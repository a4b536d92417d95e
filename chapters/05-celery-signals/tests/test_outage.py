"""An outage of Redis, seen by the clients: the same in chapters 4 and 5."""

import time
from collections.abc import Callable

import pytest

from course.testkit import RunningProject, SocketClosed, TaskStatus, Web, eventually, expect

pytestmark = pytest.mark.thorough

VIEWS = "project/ws/views.py"
SUBSCRIPTION = "project/ws/subscription.py"


def test_long_outage_is_over_soon(own_project: Callable[..., RunningProject]) -> None:
    """Redis is away for 11 s: clients are closed with 1012, then served again within 2 s."""
    project = own_project("web")
    web = project.web_with(WS_FALLBACK_POLL_SECONDS="60")
    task_ids = [project.pending_task() for _ in range(7)]
    with project.follow(task_ids[0], web) as stays:
        stays.next()
        (channel,) = project.channels()
        project.redis.kill()
        for task_id in task_ids[1:6]:
            with project.follow(task_id, web) as turned_away:
                expect("the close code", turned_away.close_code(), 1012, look_at=VIEWS)
        time.sleep(11)  # a client that backs off would try again only 5 s later
        project.redis.start()
        eventually(
            lambda: first_frame(project, task_ids[6], web),
            lambda frame: frame is not None,
            "a client is served",
            within=2,
            usually="asyncio-redis waits up to 60 s between two attempts to reconnect",
            look_at=SUBSCRIPTION,
        )
        eventually(project.channels, bool, "the client that stayed is subscribed", within=3)
        eventually(
            project.channels,
            lambda channels: channels <= {channel},
            "no channel of the clients that were turned away",
            within=3,
            usually="asyncio-redis notes a channel even if it cannot subscribe to it now",
            look_at=SUBSCRIPTION,
        )


def first_frame(project: RunningProject, task_id: str, web: Web) -> TaskStatus | None:
    with project.follow(task_id, web) as follower:
        try:
            return follower.next(within=2)
        except SocketClosed:
            return None
