"""`./course bench publishing`: what it costs the worker's process, by pool and by way."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from course.bench.machine import describe
from course.bench.publishing_cost import MEANING, WAYS, Series, cost_figure, publish
from course.bench.stage import App, chapter_app, running_apps
from course.bench.summary import Figure

POOLS = ("prefork", "solo", "threads")
QUIET = "--concurrency 1 --without-mingle --without-gossip --without-heartbeat"
HEADINGS = ["", *(f"{pool}, ms" for pool in POOLS), "p95, ms"]

Step = Callable[[str], None]


@dataclass
class PublishingCost:
    machine: dict[str, Any] = field(default_factory=dict)
    series: list[Series] = field(default_factory=list)

    def of(self, pool: str, way: str) -> list[Series]:
        return [one for one in self.series if (one.pool, one.way) == (pool, way)]

    def figure(self, pool: str, way: str) -> Figure | None:
        found = self.of(pool, way)
        return cost_figure(found) if found else None

    def rows(self) -> list[list[str]]:
        """A row a way: the median in each pool, with the least and most run, and the worst p95."""
        rows = []
        for way in WAYS:
            cells = []
            for pool in POOLS:
                found = self.figure(pool, way)
                cells.append(
                    f"{found.median:.2f} ({found.least:.2f} to {found.most:.2f})" if found else "-"
                )
            p95 = max((one.p95 for one in self.series if one.way == way), default=0)
            rows.append([MEANING[way], *cells, f"{p95:.2f}"])
        return rows

    def as_json(self, is_complete: bool) -> dict[str, Any]:
        return {
            "is_complete": is_complete,
            "machine": self.machine,
            "meaning": MEANING,
            "medians": {
                pool: {
                    way.replace(" ", "_"): figure.median
                    for way in WAYS
                    if (figure := self.figure(pool, way))
                }
                for pool in POOLS
            },
            "series": [vars(one) for one in self.series],
        }


def worker_with(pool: str, chapter: str) -> App:
    app = chapter_app(chapter)
    app.commands = {"worker": app.commands["worker"]}
    app.needs_newsletter = False
    app.worker_options = f"--pool {pool} {QUIET}"
    return app


def measure_publishing(times: int, repeats: int, found: PublishingCost, step: Step) -> None:
    """Each way in each pool, in turns, so many times in each of the repeats.

    Raises ProjectProblem, RedisProblem, or celery.exceptions.TimeoutError.
    """
    apps = {
        (pool, chapter): worker_with(pool, chapter)
        for pool in POOLS
        for chapter in sorted(set(WAYS.values()))
    }
    step("starting a worker of chapters 5 and 6 for each pool")
    with running_apps(list(apps.values())) as stage:
        found.machine = describe(stage.server)
        for repeat in range(repeats):
            for pool in POOLS:
                step(f"run {repeat + 1} of {repeats}: {pool}")
                for way, chapter in WAYS.items():
                    found.series.append(publish(apps[pool, chapter], pool, way, times))
