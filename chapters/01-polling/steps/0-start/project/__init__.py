"""The web app: a page, a form, and a Celery task behind it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from celery.result import denied_join_result
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

STATIC = Path(__file__).parent / "subscriptions" / "static"


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    # Celery subscribes to the result of each task it sends, in case we wait for it. We never do.
    with denied_join_result():
        yield


def create_app() -> FastAPI:
    from project.subscriptions.views import subscriptions_router

    app = FastAPI(title="Newsletter", lifespan=lifespan)
    app.include_router(subscriptions_router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return app
