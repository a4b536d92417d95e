"""The page, and the two requests it makes."""

import asyncio
import logging
import uuid
from pathlib import Path
from typing import Annotated
from uuid import UUID

import kombu.exceptions
import redis
from fastapi import APIRouter, Header, HTTPException, Request, Response, status
from fastapi.responses import FileResponse

from project.celery_utils import TaskStatus
from project.limits import count_task
from project.records import note_sent, open_record, read_records
from project.sessions import known_store, new_task_id, remember_store, session_id, start_session
from project.subscriptions.schemas import Accepted, Subscription
from project.subscriptions.tasks import subscribe
from project.ws.hub import lost_status

PAGE = Path(__file__).parent / "templates" / "index.html"
MAY_HAVE_STARTED = (
    "The broker does not answer. The subscription may have been started; repeat the request with "
    "the same Idempotency-Key: it is started once."
)

logger = logging.getLogger(__name__)
subscriptions_router = APIRouter()


@subscriptions_router.get("/", include_in_schema=False)
def page(request: Request) -> FileResponse:
    # The session begins here: a first POST whose answer is lost is repeated by the same owner.
    start_session(request)
    return FileResponse(PAGE)


@subscriptions_router.post("/subscriptions", status_code=status.HTTP_202_ACCEPTED)
async def start_subscription(
    subscription: Subscription,
    request: Request,
    response: Response,
    idempotency_key: Annotated[str | None, Header(min_length=8, max_length=100)] = None,
) -> Accepted:
    owner = start_session(request)
    task_id = new_task_id(owner, idempotency_key, subscription.email)
    # Until here a RedisError means that nothing was started: the record comes before the task.
    await count_task(request)
    record = await open_record(task_id, owner)
    remember_store(request, record.store_id)
    if not record.was_sent:
        await send(subscription, task_id)
    response.headers["Location"] = f"/task_status/{task_id}"
    return Accepted(task_id=task_id)


async def send(subscription: Subscription, task_id: str) -> None:
    try:
        await asyncio.to_thread(
            subscribe.apply_async,
            (subscription.email,),
            task_id=task_id,
            headers={"message_number": uuid.uuid4().hex},
        )
    except (kombu.exceptions.OperationalError, redis.RedisError) as error:
        logger.warning("Perhaps not sent: %s", error, extra={"task_id": task_id})
        raise HTTPException(
            status.HTTP_503_SERVICE_UNAVAILABLE, MAY_HAVE_STARTED, {"Retry-After": "2"}
        ) from error
    try:
        await note_sent(task_id)
    except redis.RedisError as error:  # a repeated request sends it again, and it runs once
        logger.warning("Sent, but not noted: %s", error, extra={"task_id": task_id})


@subscriptions_router.get("/task_status/{task_id}")
async def task_status(task_id: UUID, request: Request) -> TaskStatus:
    (record,) = await read_records([str(task_id)])
    if record.owner is None and known_store(request) not in ("", record.store_id):
        return lost_status(str(task_id))
    if record.owner is None or record.owner != session_id(request):
        raise HTTPException(status.HTTP_404_NOT_FOUND, "There is no such task.")
    return record.status
