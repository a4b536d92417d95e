"""Chapter 3, exercise 3: one socket follows as many tasks as the client names."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from course.testkit import Follower, RunningProject, expect, expect_that
from course.testkit.sockets import expect_own_origin_alone, socket_at

VIEWS = "project/ws/views.py"
PATH = "/ws/task_statuses"


@contextmanager
def socket(project: RunningProject) -> Iterator[Follower]:
    with socket_at(project.web, PATH) as connection:
        yield Follower(connection)


def follow(follower: Follower, task_id: str) -> None:
    follower.connection.send(json.dumps({"follow": task_id}))


def test_each_task_is_told_at_once(project: RunningProject) -> None:
    """The current state comes at once for each task that is named, whenever it is named."""
    with socket(project) as follower:
        for _ in range(3):
            task_id = str(uuid.uuid4())
            follow(follower, task_id)
            first = follower.next(within=1, usually="the view waits for the first task's end")
            expect("the task in the frame", first.get("task_id"), task_id, look_at=VIEWS)
            expect("its state", first.get("state"), "PENDING", look_at=VIEWS)


def test_ends_come_as_they_come(project: RunningProject) -> None:
    """The quick task's end is sent before the slow one's, on one socket, and it stays open."""
    slow, quick = (project.subscribe(f"slow+{n}@example.com") for n in (2, 0.8))
    with socket(project) as follower:
        follow(follower, slow)
        follow(follower, quick)
        ends = [follower.until_final(within=4) for _ in range(2)]
        expect(
            "the tasks whose end is sent, in order",
            [end["task_id"] for end in ends],
            [quick, slow],
            usually="the view follows one task to its end before it receives the next message",
            look_at=VIEWS,
        )
        follow(follower, quick)  # followed before: nothing new
        third = str(uuid.uuid4())
        follow(follower, third)
        after = follower.next(within=1, usually="the socket was closed after a final state")
        expect(
            "the task in the next frame",
            after["task_id"],
            third,
            usually="a task that is named twice is sent twice",
            look_at=VIEWS,
        )
        told = [(frame["task_id"], frame["state"]) for frame in follower.received]
        expect_that(len(set(told)) == len(told), "each state once", told, look_at=VIEWS)


@pytest.mark.parametrize("text", ["hello", '{"follow": "1"}', "[]", b"\x00"])
def test_other_messages_end_it(project: RunningProject, text: str | bytes) -> None:
    """What is no message of that kind ends it with 1008."""
    with socket(project) as follower:
        follower.connection.send(text)
        expect(
            f"the close code after {text!r}",
            follower.close_code(within=3),
            1008,
            usually="an exception ends the view: catch what is wrong, and close",
            look_at=VIEWS,
        )


def test_socket_follows_a_hundred_at_most(project: RunningProject) -> None:
    """A client that names its 101st task is sent away with 1008, and not before."""
    with socket(project) as follower:
        for _ in range(100):
            follow(follower, str(uuid.uuid4()))
        for _ in range(100):
            follower.next(within=5, usually="fewer than 100 tasks are followed")
        follow(follower, str(uuid.uuid4()))
        expect(
            "the close code after the 101st task",
            follower.close_code(within=3),
            1008,
            usually="the number of tasks that a socket may follow has no limit",
            look_at=VIEWS,
        )


def test_other_sites_are_refused(project: RunningProject) -> None:
    """A page of another origin cannot open it, and our own can."""
    expect_own_origin_alone(project.web, PATH)


def test_clients_that_leave_cost_nothing(project: RunningProject) -> None:
    """When clients leave, the server stops looking for all that they followed."""
    for _ in range(4):
        with socket(project) as follower:
            for _ in range(5):
                follow(follower, str(uuid.uuid4()))
                follower.next(within=2)

    project.expect_lookups_to_stop(
        "clients that left",
        within=3,
        usually="the coroutines that follow the tasks are not ended with the view",
        look_at=VIEWS,
    )
