"""The page, and the request it makes."""

from pathlib import Path

from fastapi import APIRouter, Response, status
from fastapi.responses import FileResponse

from project.subscriptions.schemas import Accepted, Subscription
from project.subscriptions.tasks import subscribe

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
