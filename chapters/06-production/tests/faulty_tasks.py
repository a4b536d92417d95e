"""Tasks that end in bad ways, for the worker of a test: celery worker --include faulty_tasks."""

import os
import signal
import time
from typing import Any

from celery import shared_task


@shared_task(name="faulty.exits")
def exits() -> None:
    raise SystemExit(3)


@shared_task(name="faulty.unserialisable")
def unserialisable() -> Any:
    return object()


@shared_task(name="faulty.huge_error")
def huge_error() -> None:
    raise ValueError("x" * 1_000_000)


class Unpicklable(Exception):
    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} and {two}")
        self.lock = lambda: None


@shared_task(name="faulty.unpicklable")
def unpicklable() -> None:
    raise Unpicklable("secret password", "another")


@shared_task(name="faulty.too_long", time_limit=1)
def too_long() -> None:
    time.sleep(60)


@shared_task(name="faulty.killed")
def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@shared_task(name="faulty.retries_to_the_end", bind=True, max_retries=2, default_retry_delay=0)
def retries_to_the_end(self: Any) -> None:
    raise self.retry(exc=ValueError("in vain"))


@shared_task(name="faulty.waits")
def waits(seconds: float) -> str:
    time.sleep(seconds)
    return "a result that is nobody's business"
