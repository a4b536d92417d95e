"""What publishing costs a worker's process, measured inside it by inside/publishing.py."""

from dataclasses import dataclass
from statistics import median
from uuid import uuid4

from celery import Celery

from course.bench.stage import App
from course.bench.summary import Figure, percentile

LIMIT = 60.0  # seconds for one series
HANDLERS = "signal handlers"
# The ways, each with the chapter whose worker measures it; the first two are the chapters' own.
WAYS = {
    "chapter 5": "05",
    "chapter 6": "06",
    "new loop": "05",
    "persistent loop": "05",
    "synchronous client": "05",
}
MEANING = {
    "chapter 5": "chapter 5: query, connect, publish, disconnect",
    "chapter 6": "chapter 6: publish what the signal brings, and count it",
    "new loop": "new loop: connect, publish, disconnect",
    "persistent loop": "persistent loop: publish",
    "synchronous client": "synchronous client: publish",
}


@dataclass(frozen=True)
class Series:
    """One series, in milliseconds a message."""

    pool: str
    way: str
    p50: float
    p95: float
    most: float
    times: int


def publish(app: App, pool: str, way: str, times: int) -> Series:
    """Have a pool process of the app's worker publish so many times.

    Raises celery.exceptions.TimeoutError, or what was raised in the worker.
    """
    inside = HANDLERS if way.startswith("chapter") else way
    with Celery(broker=app.redis_url, backend=app.redis_url) as celery:
        answer = celery.send_task("bench.publish", [inside, str(uuid4()), times])
        found = sorted(answer.get(timeout=LIMIT))
    return Series(pool, way, median(found), percentile(found, 0.95), found[-1], times)


def cost_figure(series: list[Series]) -> Figure:
    middles = [one.p50 for one in series]
    return Figure(median(middles), min(middles), max(middles))
