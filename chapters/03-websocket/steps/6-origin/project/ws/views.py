"""The WebSocket that notifies a browser about its task."""

import asyncio
from contextlib import suppress
from uuid import UUID

from celery import states
from fastapi import APIRouter, Depends, WebSocket, WebSocketDisconnect, WebSocketException, status

from project.celery_utils import TaskStatus, get_task_info
from project.config import settings

POLL_SECONDS = 0.5  # between two queries of the result backend

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
    try:
        await asyncio.wait({sending, receiving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        sending.cancel()
        receiving.cancel()
        await asyncio.gather(sending, receiving, return_exceptions=True)
    with suppress(WebSocketDisconnect):  # the client left a moment ago
        await websocket.close()


async def send_messages(websocket: WebSocket, task_id: str) -> None:
    """Send every change of the task's status until it is final."""
    info = await asyncio.to_thread(get_task_info, task_id)
    await websocket.send_text(info.model_dump_json())
    while info.state not in states.READY_STATES:
        info = await next_change(info)
        await websocket.send_text(info.model_dump_json())


async def next_change(sent: TaskStatus) -> TaskStatus:
    """Query the state again and again until it is another than the one that was sent."""
    while True:
        await asyncio.sleep(POLL_SECONDS)
        info = await asyncio.to_thread(get_task_info, sent.task_id)
        if info.state != sent.state:
            return info
