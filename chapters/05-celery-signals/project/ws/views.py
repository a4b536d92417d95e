"""The WebSocket that tells a browser about its task, and the news that the worker publishes."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from uuid import UUID

import anyio
from broadcaster._base import Subscriber
from celery import states
from fastapi import APIRouter, Depends, WebSocket, WebSocketDisconnect, status

from project import broadcast
from project.celery_utils import TaskStatus, get_task_info
from project.config import settings
from project.security import check_origin, count_socket
from project.ws.kept import kept_publisher

PUBLISH_LIMIT = 2  # seconds: a pool process must not wait longer, it has tasks to run

logger = logging.getLogger(__name__)
ws_router = APIRouter()


@ws_router.websocket(
    "/ws/task_status/{task_id}", dependencies=[Depends(check_origin), Depends(count_socket)]
)
async def ws_task_status(websocket: WebSocket, task_id: UUID) -> None:
    """Send the task's status at once and at each change, and close when it is final."""
    await websocket.accept()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(until_client_leaves, websocket, tasks.cancel_scope)
        with suppress(WebSocketDisconnect):  # it left while we were sending
            close_code = await send_news(websocket, str(task_id))
            await websocket.close(close_code)
        tasks.cancel_scope.cancel()


async def until_client_leaves(websocket: WebSocket, view: anyio.CancelScope) -> None:
    """End the view when its client goes: a view that only sends would never notice."""
    message = await websocket.receive()
    if message["type"] != "websocket.disconnect":
        await websocket.close(status.WS_1008_POLICY_VIOLATION, "This socket only speaks.")
    view.cancel()


async def send_news(websocket: WebSocket, task_id: str) -> int:
    """Send every change until the task is done. Returns the code to close with."""
    sent_state = None
    try:
        with anyio.fail_after(settings.ws_deadline_seconds):
            # First subscribe, then look: a task that ends in between is seen twice, not missed.
            async with subscription(task_id) as news:
                info = await asyncio.to_thread(get_task_info, task_id)
                while True:
                    if info.state != sent_state:
                        await websocket.send_text(info.model_dump_json())
                        sent_state = info.state
                    if info.state in states.READY_STATES:
                        return status.WS_1000_NORMAL_CLOSURE
                    info = await next_info(task_id, news)
    except TimeoutError:
        return status.WS_1013_TRY_AGAIN_LATER
    except WebSocketDisconnect:
        raise
    except Exception as error:  # Redis is away, which has many names: the page will come back
        logger.warning("Task %s cannot be followed: %r", task_id, error)
        return status.WS_1012_SERVICE_RESTART


async def next_info(task_id: str, news: Subscriber) -> TaskStatus:
    """Wait for a message; if none comes for a while, look. Messages get lost, results do not."""
    with anyio.move_on_after(settings.ws_heartbeat_seconds):
        event = await news.get()
        return TaskStatus.model_validate_json(event.message)
    return await asyncio.to_thread(get_task_info, task_id)


@asynccontextmanager
async def subscription(channel: str) -> AsyncIterator[Subscriber]:
    """Subscribe, and leave without an exception: broadcaster 0.2.0 cleans up only then."""
    context = broadcast.subscribe(channel=channel)
    try:
        subscriber = await context.__aenter__()
    except Exception:  # Redis is away, and asyncio-redis has noted to subscribe when it is back
        with suppress(Exception):
            await broadcast._backend.unsubscribe(channel)
        raise
    try:
        yield subscriber
    finally:
        with anyio.CancelScope(shield=True):
            await context.__aexit__(None, None, None)


async def update_celery_task_status(task_id: str) -> None:
    """Publish the task's status to all who follow it. Called in the Celery worker."""
    with anyio.fail_after(PUBLISH_LIMIT):
        info = await asyncio.to_thread(get_task_info, task_id)
        publisher = await kept_publisher()
        await publisher.publish(channel=task_id, message=info.model_dump_json())
