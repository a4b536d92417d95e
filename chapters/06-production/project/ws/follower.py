"""One socket that follows a task: what was sent to it, and what it is due."""

import asyncio

from celery import states
from fastapi import WebSocket, WebSocketDisconnect, status

from project import metrics
from project.celery_utils import TaskStatus
from project.config import settings


class Follower:
    """Sends at most one frame at a time, so that a client that does not read holds up no other.

    While a frame is on its way only the newest one waits: what a slow client costs is bounded.
    """

    __slots__ = (
        "close_code",
        "deadline",
        "is_owner",
        "life",
        "messages",
        "next_heartbeat",
        "next_poll",
        "owner",
        "sending",
        "state",
        "store_id",
        "task_id",
        "waiting",
        "websocket",
    )

    def __init__(
        self, websocket: WebSocket, task_id: str, owner: str, store_id: str, now: float
    ) -> None:
        self.websocket, self.task_id = websocket, task_id
        self.owner = owner  # who the session says it is
        self.store_id = store_id  # of the store that the session has used last
        self.is_owner = False  # until Redis has said so, nothing is sent
        self.state = ""  # the one that was sent last
        self.messages = 0  # that have come; what was read before is older than the message
        self.deadline = now + settings.ws_deadline_seconds
        self.next_heartbeat = now + settings.ws_heartbeat_seconds
        # Until the state has been read once, do not wait long for Redis to confirm.
        self.next_poll = now + min(1, settings.ws_fallback_poll_seconds)
        self.waiting: str | None = None
        self.close_code = 0
        self.sending: asyncio.Task[None] | None = None
        self.life = asyncio.timeout(None)  # around the view; expires when the client is cut off

    def update(self, task: TaskStatus, frame: str) -> bool:
        """Send the status if it is new, and close after the last one. Returns if it was new."""
        if task.state == self.state or self.close_code:
            return False
        self.state = task.state
        self.send(frame)
        if task.state in states.READY_STATES:
            self.close(status.WS_1000_NORMAL_CLOSURE)
        return True

    def send(self, frame: str) -> None:
        if not self.close_code:
            self.waiting = frame
            self._start_sending()

    def close(self, code: int) -> None:
        """Close when what waits has been sent. The first code counts."""
        if not self.close_code:
            self.close_code = code
            self._start_sending()

    def _start_sending(self) -> None:
        if self.sending is None:
            self.sending = asyncio.create_task(self._send())

    async def _send(self) -> None:
        limit = asyncio.timeout(settings.ws_send_seconds)
        try:
            async with limit:
                while self.waiting is not None:
                    frame, self.waiting = self.waiting, None
                    await self.websocket.send_text(frame)
                    metrics.messages_sent.inc()
                if self.close_code:  # the one place that closes
                    await self.websocket.close(self.close_code)
        except WebSocketDisconnect:
            pass  # it left meanwhile; its view is told, too
        except TimeoutError:
            if not limit.expired():
                raise
            metrics.slow_clients.inc()
            self.life.reschedule(asyncio.get_running_loop().time())
        finally:
            self.sending = None
