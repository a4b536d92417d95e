"""One subscription connection for all sockets of this process, and the tasks that serve them.

Five asyncio tasks, however many sockets: `_stay_connected` keeps the connection, and starts two
each time there is one: `_listen` receives what is published, `_subscribe` keeps Redis informed of
what is wanted. `_read` reads states in batches, `_sweep` does what is due.
"""

import asyncio
import heapq
import itertools
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from celery import states
from fastapi import status
from pydantic import ValidationError
from redis import RedisError
from redis.asyncio.client import PubSub

from project import metrics
from project.celery_utils import TaskStatus
from project.config import settings
from project.records import Record, read_records
from project.redis_clients import async_client
from project.ws.follower import Follower
from project.ws.publish import CHANNEL, Message

SWEEP_EVERY = 0.1  # seconds
BATCH = 500  # tasks a command
QUIET = 3.0  # seconds without a message after which Redis has to answer a ping in as many
FIRST_WAIT, LONGEST_WAIT = 0.1, 1.0  # seconds between two tries to connect
WS_4404_NOT_FOUND = 4404
LOST = "The server has lost its data: it is not known how this task ended."

logger = logging.getLogger(__name__)


class Hub:
    def __init__(self) -> None:
        # Without retries: it is _stay_connected that connects again, and counts that.
        self.client = async_client(settings.ws_message_queue, retries=0)
        self.followers: dict[str, list[Follower]] = {}  # by task id
        self.is_connected = False
        self._confirmed: set[str] = set()  # task ids whose channel Redis has subscribed us to
        self._changed: dict[str, None] = {}  # task ids to subscribe to, or no longer
        self._has_changed = asyncio.Event()
        self._unread: dict[Follower, bool] = {}  # whose state is to be read; is it a fallback poll?
        self._has_unread = asyncio.Event()
        self._due: list[tuple[float, int, Follower]] = []  # a heap, by time
        self._numbers = itertools.count()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        services = (self._stay_connected, self._read, self._sweep)
        tasks = [asyncio.create_task(keep_running(service)) for service in services]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.client.aclose()

    # What a view calls.

    def join(self, follower: Follower) -> None:
        """Subscribe for it, if it is the first of its task, and then read the state."""
        metrics.open_sockets.inc()
        others = self.followers.setdefault(follower.task_id, [])
        others.append(follower)
        self._schedule(follower)
        if len(others) == 1:
            self._change(follower.task_id)
        # First subscribe, then read: a task that ends in between is seen twice, not missed.
        if follower.task_id in self._confirmed or not self.is_connected:
            self._read_soon(follower)

    def leave(self, follower: Follower) -> None:
        metrics.open_sockets.dec()
        self._unread.pop(follower, None)
        others = self.followers[follower.task_id]
        others.remove(follower)
        if not others:
            del self.followers[follower.task_id]
            self._change(follower.task_id)

    # Redis's messages.

    async def _stay_connected(self) -> None:
        wait = FIRST_WAIT
        while True:
            try:
                async with self.client.pubsub() as pubsub:
                    await pubsub.connect()
                    self.is_connected, wait = True, FIRST_WAIT
                    self._confirmed.clear()
                    self._change(*self.followers)
                    async with asyncio.TaskGroup() as group:
                        group.create_task(self._subscribe(pubsub))
                        group.create_task(self._listen(pubsub))
            except* (RedisError, OSError) as errors:
                logger.warning("The subscription connection is lost: %s", errors.exceptions[0])
            self.is_connected = False
            metrics.redis_reconnects.inc()
            # With jitter, so that not all processes come back in the same moment.
            await asyncio.sleep(random.uniform(0.5, 1) * wait)
            wait = min(wait * 2, LONGEST_WAIT)

    def _change(self, *task_ids: str) -> None:
        self._changed.update(dict.fromkeys(task_ids))
        self._has_changed.set()

    async def _subscribe(self, pubsub: PubSub) -> None:
        subscribed: set[str] = set()
        while True:
            await self._has_changed.wait()
            self._has_changed.clear()
            changed, self._changed = list(self._changed), {}
            new = [one for one in changed if one in self.followers and one not in subscribed]
            gone = [one for one in changed if one not in self.followers and one in subscribed]
            subscribed.update(new)
            subscribed.difference_update(gone)
            self._confirmed.difference_update(gone)
            for some in batches(new):
                await pubsub.subscribe(*(CHANNEL + task_id for task_id in some))
            for some in batches(gone):
                await pubsub.unsubscribe(*(CHANNEL + task_id for task_id in some))

    async def _listen(self, pubsub: PubSub) -> None:
        is_pinged = False
        while True:
            message = await pubsub.get_message(timeout=QUIET)
            if message is None:
                if is_pinged:
                    raise ConnectionError("Redis does not answer a ping")
                await pubsub.ping()
            elif message["type"] == "subscribe":
                task_id = message["channel"].removeprefix(CHANNEL)
                self._confirmed.add(task_id)
                # All are read after a reconnection, too: what was published meanwhile is lost.
                for follower in self.followers.get(task_id, ()):
                    self._read_soon(follower)
            elif message["type"] == "unsubscribe":
                self._confirmed.discard(message["channel"].removeprefix(CHANNEL))
            elif message["type"] == "message":
                self._forward(message["channel"].removeprefix(CHANNEL), message["data"])
            is_pinged = message is None

    def _forward(self, task_id: str, data: str) -> None:
        """Send what was published to all who follow the task."""
        try:
            message = Message.model_validate_json(data)
            if message.task_id != task_id:
                raise ValueError("it is about another task")
        except ValueError as error:  # a ValidationError is one
            reason = "no status" if isinstance(error, ValidationError) else error
            logger.warning("A message is ignored: %s", reason, extra={"task_id": task_id})
            return
        if message.published_at:
            metrics.latency.observe(max(0, time.time() - message.published_at))
        frame = message.model_dump_json(exclude={"published_at"})
        for follower in self.followers.get(task_id, ()):
            follower.messages += 1
            if follower.is_owner:
                follower.update(message, frame)
            else:
                self._read_soon(follower)

    # The states in Redis.

    def _read_soon(self, follower: Follower, is_fallback: bool = False) -> None:
        self._unread[follower] = is_fallback
        self._has_unread.set()

    async def _read(self) -> None:
        while True:
            await self._has_unread.wait()
            self._has_unread.clear()
            unread, self._unread = self._unread, {}
            for some in batches(list(unread.items())):
                await self._read_some(some)

    async def _read_some(self, some: list[tuple[Follower, bool]]) -> None:
        before = [follower.messages for follower, _ in some]
        try:
            records = await read_records([follower.task_id for follower, _ in some])
        except (RedisError, OSError) as error:
            logger.warning("%d states cannot be read: %s", len(some), error)
            for follower, _ in some:
                # Who has been let in stays: the state is read again when Redis is back.
                if not follower.is_owner:
                    follower.close(status.WS_1012_SERVICE_RESTART)
            return
        for (follower, is_fallback), record, messages in zip(some, records, before, strict=True):
            self._let_in(follower, record)
            if not follower.is_owner or record.owner is None:
                continue
            is_older = follower.messages != messages  # a message has come meanwhile
            if is_older and follower.state:
                continue
            found = follower.update(record.status, record.status.model_dump_json())
            if is_older:
                self._read_soon(follower)
            # No message says STARTED: a poll that finds it shows no lost message.
            if is_fallback and found and record.status.state != states.STARTED:
                metrics.fallback_finds.inc()

    def _let_in(self, follower: Follower, record: Record) -> None:
        """Find out whether the task is the client's own, and whether Redis still has it."""
        if record.owner == follower.owner:
            follower.is_owner = True
        elif record.owner is None and (
            follower.is_owner or (follower.store_id and follower.store_id != record.store_id)
        ):
            lost = lost_status(follower.task_id)
            follower.send(lost.model_dump_json())
            follower.close(status.WS_1000_NORMAL_CLOSURE)
        else:
            # The same for another's task as for one that does not exist: nothing is learned.
            follower.close(WS_4404_NOT_FOUND)

    # What is due.

    def _schedule(self, follower: Follower) -> None:
        due = min(follower.next_poll, follower.next_heartbeat, follower.deadline)
        heapq.heappush(self._due, (due, next(self._numbers), follower))

    async def _sweep(self) -> None:
        now = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(SWEEP_EVERY)
            while self._due and self._due[0][0] <= now():
                follower = heapq.heappop(self._due)[2]
                if follower in self.followers.get(follower.task_id, ()):
                    self._serve(follower, now())
                    self._schedule(follower)

    def _serve(self, follower: Follower, now: float) -> None:
        if follower.deadline <= now:
            follower.close(status.WS_1013_TRY_AGAIN_LATER)
            follower.deadline = now + settings.ws_deadline_seconds
        if follower.next_poll <= now:
            self._read_soon(follower, is_fallback=bool(follower.state))
            follower.next_poll = now + settings.ws_fallback_poll_seconds
        if follower.next_heartbeat <= now:
            if follower.is_owner and follower.sending is None:
                follower.send(HEARTBEAT)
            follower.next_heartbeat = now + settings.ws_heartbeat_seconds


HEARTBEAT = f'{{"heartbeat":{settings.ws_heartbeat_seconds:g}}}'


def lost_status(task_id: str) -> TaskStatus:
    return TaskStatus(task_id=task_id, state="UNKNOWN", error=LOST)


def batches(items: list[Any]) -> list[list[Any]]:
    return [items[start : start + BATCH] for start in range(0, len(items), BATCH)]


async def keep_running(service: Callable[[], Awaitable[None]]) -> None:
    """A bug in one of the tasks is logged, and does not leave all sockets deaf."""
    while True:
        try:
            await service()
        except Exception:
            logger.exception("A task of the hub has failed; it starts again.")
            await asyncio.sleep(1)


hub = Hub()
