"""The WebSocket that tells a browser about its task."""

import asyncio
import logging
from contextlib import suppress
from uuid import UUID

import anyio
from celery import states
from fastapi import (
    APIRouter,
    Depends,
    WebSocket,
    WebSocketDisconnect,
    WebSocketException,
    status,
)

from project.celery_utils import get_task_info
from project.config import settings

LOOK_EVERY = 0.5  # seconds between two looks at the result backend

logger = logging.getLogger(__name__)
ws_router = APIRouter()


def check_origin(websocket: WebSocket) -> None:
    """Refuse other sites' pages, and whoever names no origin: browsers ask nobody but us."""
    origin = websocket.headers.get("origin", "")
    is_ours = origin.partition("://")[2] == websocket.headers["host"]
    if not is_ours and origin not in settings.allowed_origins:
        raise WebSocketException(status.WS_1008_POLICY_VIOLATION)


@ws_router.websocket("/ws/task_status/{task_id}", dependencies=[Depends(check_origin)])
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
            while True:
                info = await asyncio.to_thread(get_task_info, task_id)
                if info.state != sent_state:
                    await websocket.send_text(info.model_dump_json())
                    sent_state = info.state
                if info.state in states.READY_STATES:
                    return status.WS_1000_NORMAL_CLOSURE
                await asyncio.sleep(LOOK_EVERY)
    except TimeoutError:
        return status.WS_1013_TRY_AGAIN_LATER
    except WebSocketDisconnect:
        raise
    except Exception as error:  # Redis is away: the page will come back
        logger.warning("Task %s cannot be followed: %r", task_id, error)
        return status.WS_1012_SERVICE_RESTART
