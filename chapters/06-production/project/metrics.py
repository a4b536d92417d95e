"""What is counted, and GET /metrics, which Prometheus reads."""

from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import REGISTRY, CollectorRegistry, CounterMetricFamily, Metric
from redis import RedisError

from project.config import settings
from project.redis_clients import async_client

TASKS_BY_STATE = "newsletter:tasks-by-state"  # a hash in Redis, which the workers write

disable_created_metrics()  # type: ignore[no-untyped-call]
open_sockets = Gauge("newsletter_open_sockets", "WebSockets that follow a task in this process")
messages_sent = Counter("newsletter_messages_sent", "Frames sent to clients")
latency = Histogram(
    "newsletter_notification_latency_seconds",
    "From a worker's publishing to the message's arrival here, by both clocks",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
fallback_finds = Counter(
    "newsletter_fallback_finds", "Fallback polls that found a state whose message was lost"
)
redis_reconnects = Counter("newsletter_redis_reconnects", "Subscription connections lost")
slow_clients = Counter("newsletter_slow_clients", "Clients cut off, as they did not read")

metrics_router = APIRouter()
queue = async_client(settings.ws_message_queue)


class TasksByState:
    """Counted in Redis by the workers, for all processes: sum this over one process alone."""

    def __init__(self, numbers: dict[Any, Any]) -> None:
        self.numbers = numbers

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily(
            "newsletter_tasks", "Tasks by the states that were published", labels=["state"]
        )
        for state, number in sorted(self.numbers.items()):
            family.add_metric([state], float(number))
        yield family


@metrics_router.get("/metrics", include_in_schema=False)
async def metrics() -> Response:
    text = generate_latest(REGISTRY)
    try:
        numbers: dict[Any, Any] = await queue.hgetall(TASKS_BY_STATE)
    except (RedisError, OSError):
        numbers = {}  # what this process counts itself can be read all the same
    counted = CollectorRegistry()
    counted.register(TasksByState(numbers))
    return Response(text + generate_latest(counted), media_type=CONTENT_TYPE_LATEST)
