"""What the web processes keep in Redis about each task: whose it is, and whether it was sent.

Next to it stands the task's state, as Celery keeps it; one MGET reads both.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from celery import current_app

from project.celery_utils import TaskStatus, status_from_meta
from project.config import settings
from project.redis_clients import async_client

# Longer than a result is kept: a task that is forgotten does not become PENDING again.
KEPT_SECONDS = 24 * 3600 + 600
STORE_KEY = "newsletter:store"

store = async_client(settings.celery_result_backend)


def owner_key(task_id: str) -> str:
    return f"newsletter:task:{task_id}:owner"


def sent_key(task_id: str) -> str:
    return f"newsletter:task:{task_id}:sent"


def number_key(task_id: str) -> str:
    return f"newsletter:task:{task_id}:number"


@dataclass(frozen=True)
class Record:
    """A task as Redis knows it. `owner` is None if Redis knows of no such task."""

    owner: Any
    status: TaskStatus
    store_id: str | None


async def read_records(task_ids: Sequence[str]) -> list[Record]:
    """Read the tasks' records and states. Raises RedisError."""
    backend = current_app.backend
    owners = [owner_key(task_id) for task_id in task_ids]
    states = [backend.get_key_for_task(task_id) for task_id in task_ids]
    found: list[Any]
    store_id: Any
    store_id, *found = await store.mget([STORE_KEY, *owners, *states])
    return [
        Record(
            owner=owner,
            status=status_from_meta(task_id, backend.decode_result(meta) if meta else None),
            store_id=store_id,
        )
        for task_id, owner, meta in zip(
            task_ids, found[: len(task_ids)], found[len(task_ids) :], strict=True
        )
    ]


@dataclass(frozen=True)
class Opened:
    store_id: str
    was_sent: bool


async def open_record(task_id: str, owner: str) -> Opened:
    """Note whose task this is, before it is sent. Raises RedisError."""
    async with store.pipeline() as pipe:
        # The id of this store: who has seen it finds out when the store has lost its data.
        pipe.set(STORE_KEY, uuid.uuid4().hex, nx=True)
        pipe.get(STORE_KEY)
        pipe.set(owner_key(task_id), owner, nx=True, ex=KEPT_SECONDS)
        pipe.exists(sent_key(task_id))
        _, store_id, _, was_sent = await pipe.execute()
    return Opened(store_id, bool(was_sent))


async def note_sent(task_id: str) -> None:
    await store.set(sent_key(task_id), "1", ex=KEPT_SECONDS)
