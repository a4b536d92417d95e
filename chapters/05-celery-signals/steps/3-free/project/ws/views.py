"""The WebSocket that notifies a browser about its task, and how a message is published to it."""

import asyncio
import logging
from contextlib import suppress
from uuid import UUID

import redis
from broadcaster import Broadcast
from celery import states
from fastapi import APIRouter, Depends, WebSocket, WebSocketDisconnect, WebSocketException, status

from project.celery_utils import TaskStatus, get_task_info
from project.config import settings
from project.ws.subscription import Messages, subscription

PUBLISH_LIMIT = 2  # seconds: a task must not wait longer for a message that may get lost

logger = logging.getLogger(__name__)
ws_router = APIRouter()


def check_origin(websocket: WebSocket) -> None:
    """Refuse pages of other sites, and clients that name no origin: all browsers name theirs."""
    origin = websocket.headers.get("origin", "")
    host = websocket.headers.get("host")
    is_ours = bool(host) and origin.partition("://")[2] == host
    if not is_ours and origin not in settings.allowed_origins.replace(",", " ").split():
        raise WebSocketException(status.WS_1008_POLICY_VIOLATION)


@ws_router.websocket("/ws/task_status/{task_id}", dependencies=[Depends(check_origin)])
async def ws_task_status(websocket: WebSocket, task_id: UUID) -> None:
    """Send the task's status at once and at each change, and close when it is final."""
    await websocket.accept()
    sending = asyncio.create_task(send_messages(websocket, str(task_id)))
    # A view that only sends notices at its next send that its client has left.
    receiving = asyncio.create_task(websocket.receive())
    tasks, limit = {sending, receiving}, settings.ws_deadline_seconds
    try:
        await asyncio.wait(tasks, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
    finally:
        sending.cancel()
        receiving.cancel()
        sent, received = await asyncio.gather(sending, receiving, return_exceptions=True)
    code = close_code(sent, received)
    if code is not None:
        with suppress(WebSocketDisconnect):  # the client left a moment ago
            await websocket.close(code)


def close_code(sent: BaseException | None, received: object) -> int | None:
    """Return the code to close the socket with, or None if its client has left."""
    match sent, received:
        case (WebSocketDisconnect(), _) | (_, {"type": "websocket.disconnect"}):
            return None
        case (None, _):
            return status.WS_1000_NORMAL_CLOSURE
        case (_, {"type": "websocket.receive"}):  # nothing is expected from the client
            return status.WS_1008_POLICY_VIOLATION
        case (asyncio.CancelledError(), _):  # the deadline has passed
            return status.WS_1013_TRY_AGAIN_LATER
        case (redis.RedisError() | ConnectionError(), _):  # the page will reconnect
            logger.warning("A socket is closed, as Redis is away: %r", sent)
            return status.WS_1012_SERVICE_RESTART
    logger.error("A socket is closed, as its view failed", exc_info=sent)
    return status.WS_1011_INTERNAL_ERROR


async def send_messages(websocket: WebSocket, task_id: str) -> None:
    """Send every change of the task's status until it is final."""
    # First subscribe, then query: a task that ends in between is seen twice, not missed.
    async with subscription(task_id) as messages:
        info = await asyncio.to_thread(get_task_info, task_id)
        await websocket.send_text(info.model_dump_json())
        while info.state not in states.READY_STATES:
            info = await next_change(info, messages)
            await websocket.send_text(info.model_dump_json())


async def next_change(sent: TaskStatus, messages: Messages) -> TaskStatus:
    """Wait for a status that was not sent yet: in a message, or found by a fallback poll."""
    while True:
        limit = asyncio.timeout(settings.ws_fallback_poll_seconds)
        try:
            async with limit:
                event = await messages.get()
            info = TaskStatus.model_validate_json(event.message)
            if info.task_id == sent.task_id and info != sent:
                return info
        except TimeoutError:
            if not limit.expired():
                raise
            # Messages can get lost, results do not.
            info = await asyncio.to_thread(get_task_info, sent.task_id)
            if info.state != sent.state:
                return info


async def update_celery_task_status(task_id: str) -> None:
    """Publish the status to all clients that follow the task. Called in the Celery worker."""
    async with asyncio.timeout(PUBLISH_LIMIT):
        info = await asyncio.to_thread(get_task_info, task_id)
        async with Broadcast(str(settings.ws_message_queue)) as publisher:
            await publisher.publish(channel=task_id, message=info.model_dump_json())
