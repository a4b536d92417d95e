"""The page, and the two requests it makes."""

import asyncio
from pathlib import Path
from uuid import UUID

from celery import states
from fastapi import APIRouter, Response, status
from fastapi.responses import FileResponse

from project.celery_utils import TaskStatus, get_task_info
from project.subscriptions.schemas import Accepted, Subscription
from project.subscriptions.tasks import subscribe

POLL_SECONDS = 0.5  # between two queries of the result backend

PAGE = Path(__file__).parent / "templates" / "index.html"

subscriptions_router = APIRouter()


@subscriptions_router.get("/", include_in_schema=False)
def page() -> FileResponse:
    return FileResponse(PAGE)


# This view is `def`, not `async def`: what it calls blocks, so FastAPI gives it a thread.
@subscriptions_router.post("/subscriptions", status_code=status.HTTP_202_ACCEPTED)
def start_subscription(subscription: Subscription, response: Response) -> Accepted:
    task = subscribe.delay(subscription.email)
    response.headers["Location"] = f"/task_status/{task.id}"
    return Accepted(task_id=task.id)


@subscriptions_router.get("/task_status/{task_id}")
async def task_status(task_id: UUID, wait: float = 0) -> TaskStatus:
    """Answer when the state changes or is final, but at the latest after `wait` seconds."""
    first = info = get_task_info(str(task_id))
    limit = asyncio.timeout(wait)
    try:
        async with limit:
            while info.state == first.state and info.state not in states.READY_STATES:
                await asyncio.sleep(POLL_SECONDS)
                info = get_task_info(str(task_id))
    except TimeoutError:
        if not limit.expired():
            raise
    return info
