"""The page, and the request it makes."""

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse

from project.subscriptions.schemas import Subscription
from project.subscriptions.tasks import subscribe

PAGE = Path(__file__).parent / "templates" / "index.html"

subscriptions_router = APIRouter()


@subscriptions_router.get("/", include_in_schema=False)
def page() -> FileResponse:
    return FileResponse(PAGE)


# This view is `def`, not `async def`: what it calls blocks, so FastAPI gives it a thread.
@subscriptions_router.post("/subscriptions")
def start_subscription(subscription: Subscription) -> dict[str, str]:
    # This takes as long as the newsletter service does.
    return {"result": subscribe(subscription.email)}
