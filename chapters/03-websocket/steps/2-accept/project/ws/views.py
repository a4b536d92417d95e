"""The WebSocket that notifies a browser about its task."""

import asyncio
from uuid import UUID

from fastapi import APIRouter, WebSocket

from project.celery_utils import get_task_info

ws_router = APIRouter()


@ws_router.websocket("/ws/task_status/{task_id}")
async def ws_task_status(websocket: WebSocket, task_id: UUID) -> None:
    """Send the task's status, and close."""
    await websocket.accept()
    info = await asyncio.to_thread(get_task_info, str(task_id))
    await websocket.send_text(info.model_dump_json())
    await websocket.close()
