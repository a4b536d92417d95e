"""What telling costs a worker's process, measured inside it: inside/telling.py does the work."""

from dataclasses import dataclass
from statistics import median
from uuid import uuid4

from celery import Celery

from course.bench.stage import App
from course.bench.summary import Figure, percentile

LIMIT = 60.0  # seconds for one series
WAYS = ("signal handlers", "new loop", "kept loop", "synchronous client")
MEANING = {
    "signal handlers": "chapter 5: query, connect, publish, disconnect",
    "new loop": "new loop: connect, publish, disconnect",
    "kept loop": "kept loop: publish",
    "synchronous client": "synchronous client: publish",
}


@dataclass(frozen=True)
class Told:
    """One series, in milliseconds a message."""

    pool: str
    way: str
    p50: float
    p95: float
    most: float
    times: int


def tell(app: App, pool: str, way: str, times: int) -> Told:
    """Have a pool process of the app's worker tell so many times.

    Raises celery.exceptions.TimeoutError, or what was raised in the worker.
    """
    with Celery(broker=app.redis_url, backend=app.redis_url) as celery:
        answer = celery.send_task("bench.tell", [way, str(uuid4()), times])
        found = sorted(answer.get(timeout=LIMIT))
    return Told(pool, way, median(found), percentile(found, 0.95), found[-1], times)


def cost_figure(series: list[Told]) -> Figure:
    middles = [one.p50 for one in series]
    return Figure(median(middles), min(middles), max(middles))
