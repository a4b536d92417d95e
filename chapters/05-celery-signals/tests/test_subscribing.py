"""The view's subscription: the same in chapters 4 and 5."""

import asyncio
import json
import time
import uuid
from collections.abc import Callable

from course.testkit import (
    RunningProject,
    SocketClosed,
    eventually,
    expect,
    expect_that,
    run_async,
)
from course.testkit.project import is_lookup

VIEWS = "project/ws/views.py"


def test_view_subscribes(project: RunningProject) -> None:
    """While a client follows a task, its web process subscribes to one channel of Redis."""
    before = project.channels()
    with project.follow(project.pending_task()) as follower:
        follower.next()
        project.channel_since(before)


def test_view_subscribes_before_it_looks(project: RunningProject) -> None:
    """First subscribe, then query: a message that is published in between is not missed."""
    web = project.web_with(WS_FALLBACK_POLL_SECONDS="60")  # its fallback polls prove nothing
    task_id, before = project.pending_task(), project.channels()
    with project.watch_redis() as commands, project.follow(task_id, web) as follower:
        follower.next()
        project.channel_since(before)
        asked = commands()
    steps = [
        "query" if is_lookup(command, task_id) else "subscribe"
        for command in asked
        if is_lookup(command, task_id) or command.split()[0].upper() in ("SUBSCRIBE", "PSUBSCRIBE")
    ]
    expect_that(
        "query" in steps[steps.index("subscribe") :],
        "the view subscribes, and then queries the state",
        " -> ".join(steps),
        usually="the state is read first: a task that ends before the subscription is missed",
        look_at=VIEWS,
    )


def test_clients_that_leave_leave_nothing(project: RunningProject) -> None:
    """When 100 clients have come and gone, no subscription of theirs is left 5 seconds later."""
    web = project.another_web()
    task_ids = [project.pending_task() for _ in range(20)]
    before = project.channels()

    async def come_and_go(number: int) -> None:
        async with await project.open_socket(task_ids[number % 20], web) as socket:
            await asyncio.wait_for(socket.recv(), 10)
            if number % 2:
                socket.transport.abort()  # gone without a word, like a closed laptop

    async def crowd() -> None:
        await asyncio.gather(*(come_and_go(number) for number in range(100)))

    run_async(crowd)
    eventually(
        project.channels,
        lambda channels: channels <= before,
        "no channel is left that the clients' views subscribed to",
        within=5,
        usually="the view only sends, so it never notices that its client left; "
        "or what unsubscribes is left out when the view ends by an exception",
        look_at=VIEWS,
    )


def test_lost_message_is_made_good(own_project: Callable[..., RunningProject]) -> None:
    """A message that is lost is made good by a fallback poll, within 8 seconds."""
    project = own_project()  # Broadcaster 0.3.1 never mends a cut connection
    task_id = project.subscribe("slow+0.5@example.com")
    with project.follow(task_id) as follower:
        follower.next()
        # Whatever the worker publishes, the web process has no connection to receive it.
        ended = 0.0
        while not ended or time.monotonic() < ended + 0.3:
            project.redis.client.client_kill_filter(_type="pubsub")
            if not ended and project.status(task_id)["state"] == "SUCCESS":
                ended = time.monotonic()
            time.sleep(0.02)
        try:
            last = follower.until_final(
                within=8,
                usually="the view relies on messages alone: it needs a fallback poll",
            )
        except SocketClosed:  # that is an answer, too: the page comes back
            last = project.follow_to_the_end(task_id, within=5)
        expect("the last state", last["state"], "SUCCESS", look_at=VIEWS)


def test_message_about_another_task_is_not_sent(project: RunningProject) -> None:
    """A message on the task's channel that names another task is not sent to the client."""
    before = project.channels()
    with project.follow(project.pending_task()) as follower:
        message = follower.next()
        channel = project.channel_since(before)
        for task_id, state in ((str(uuid.uuid4()), "SUCCESS"), (message["task_id"], "STARTED")):
            project.redis.client.publish(
                channel, json.dumps(message | {"task_id": task_id, "state": state})
            )
        # A view may also take a message as news alone, query the state, and find none.
        frame = follower.next_if_any(within=2)
    expect(
        "the task id in the frame",
        frame["task_id"] if frame else message["task_id"],
        message["task_id"],
        usually="the view sends each message without checking its task_id",
        look_at=VIEWS,
    )


def test_publishing_holds_up_no_task(project: RunningProject) -> None:
    """Ten quick tasks are done within 8 seconds: publishing does not hold up the worker."""
    start = time.monotonic()
    for task_id in [project.subscribe("slow+0@example.com") for _ in range(10)]:
        project.until_final(task_id, within=15)
    seconds = time.monotonic() - start
    expect_that(
        seconds < 8,  # a publish that hangs costs each of them 2 s
        "ten quick tasks are done within 8 s",
        f"after {seconds:.1f} s",
        usually="publishing waits indefinitely in the worker: what was connected in one event loop "
        "does not answer in another",
        look_at=VIEWS,
    )
