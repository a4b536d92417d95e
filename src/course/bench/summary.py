"""From loads to numbers: each figure of each run, and the median, least and most over the runs."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from statistics import median
from typing import Any

from course.bench.load import Load

MIB = 1024 * 1024


@dataclass(frozen=True)
class Figure:
    """A measured value over the repeated runs."""

    median: float
    least: float
    most: float


@dataclass(frozen=True)
class Column:
    """A figure that is taken of each load: its key in results.json, its heading, its unit."""

    key: str
    heading: str
    unit: str
    of: Callable[[Load], float]


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that is not below `share` of them (nearest rank). Values are sorted."""
    return values[max(0, ceil(share * len(values)) - 1)] if values else float("nan")


def per_client(count: float, load: Load) -> float:
    return count / load.clients


COLUMNS = (
    Column("delay_p50", "delay p50", "ms", lambda load: percentile(load.delays, 0.50)),
    Column("delay_p95", "delay p95", "ms", lambda load: percentile(load.delays, 0.95)),
    Column("delay_p99", "delay p99", "ms", lambda load: percentile(load.delays, 0.99)),
    Column("delay_max", "delay max", "ms", lambda load: percentile(load.delays, 1)),
    Column("requests", "HTTP requests", "a task", lambda x: per_client(x.traffic.requests, x)),
    Column("frames", "frames", "a task", lambda x: per_client(x.traffic.frames, x)),
    Column("connections", "connections", "a task", lambda x: per_client(x.traffic.connections, x)),
    Column(
        "bytes",
        "bytes on the wire",
        "a task",
        lambda x: per_client(x.traffic.bytes_sent + x.traffic.bytes_received, x),
    ),
    Column("queries", "queries by web", "a task", lambda x: per_client(x.commands.queries, x)),
    Column(
        "redis_web",
        "Redis commands by web",
        "a task",
        lambda x: per_client(x.commands.web.total(), x),
    ),
    Column(
        "redis_worker",
        "Redis commands by worker",
        "a task",
        lambda x: per_client(x.commands.worker.total(), x),
    ),
    Column("web_cpu", "web CPU", "s per 1,000 clients", lambda x: 1000 * per_client(x.web_cpu, x)),
    Column("web_peak", "web peak memory", "MiB", lambda x: x.web_peak / MIB),
    Column("lost", "lost", "clients", lambda x: x.lost),
)


def figure(values: Iterable[float]) -> Figure:
    found = list(values)
    return Figure(median(found), min(found), max(found))


def summarise(loads: list[Load]) -> dict[str, Figure]:
    """The figures of one app over its runs, by column key."""
    return {column.key: figure(column.of(load) for load in loads) for column in COLUMNS}


def as_json(app_name: str, loads: list[Load]) -> dict[str, Any]:
    """One app's part of results.json: figures, and each run's delays and Redis commands."""
    return {
        "name": app_name,
        "figures": {key: asdict(value) for key, value in summarise(loads).items()},
        "runs": [
            {
                "clients": load.clients,
                "lost": load.lost,
                "problem": load.problem,
                "seconds": round(load.seconds, 3),
                "delays_ms": [round(delay, 2) for delay in load.delays],
                "redis_web": dict(sorted(load.commands.web.items())),
                "redis_worker": dict(sorted(load.commands.worker.items())),
                "redis_all": dict(sorted(load.commands.everybody.items())),
            }
            for load in loads
        ],
    }
