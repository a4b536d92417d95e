"""The page, and the two requests it makes."""

from pathlib import Path
from uuid import UUID

from fastapi import APIRouter, Response, status
from fastapi.responses import FileResponse

from project.celery_utils import TaskStatus, get_task_info
from project.subscriptions.schemas import Accepted, Subscription
from project.subscriptions.tasks import subscribe

PAGE = Path(__file__).parent / "templates" / "index.html"

subscriptions_router = APIRouter()


@subscriptions_router.get("/", include_in_schema=False)
def page() -> FileResponse:
    return FileResponse(PAGE)


# These views are `def`, not `async def`: what they call blocks, so FastAPI gives each a thread.
@subscriptions_router.post("/subscriptions", status_code=status.HTTP_202_ACCEPTED)
def start_subscription(subscription: Subscription, response: Response) -> Accepted:
    task = subscribe.delay(subscription.email)
    response.headers["Location"] = f"/task_status/{task.id}"
    return Accepted(task_id=task.id)


@subscriptions_router.get("/task_status/{task_id}")
def task_status(task_id: UUID) -> TaskStatus:
    return get_task_info(str(task_id))
