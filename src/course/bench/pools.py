"""`./course bench tell`: what telling costs the worker's process, by pool and by way."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from course.bench.machine import describe
from course.bench.stage import App, chapter_app, running_apps
from course.bench.summary import Figure
from course.bench.telling_cost import MEANING, WAYS, Told, cost_figure, tell

POOLS = ("prefork", "solo", "threads")
QUIET = "--concurrency 1 --without-mingle --without-gossip --without-heartbeat"
HEADINGS = ["", *(f"{pool}, ms" for pool in POOLS), "p95, ms"]

Step = Callable[[str], None]


@dataclass
class Tellings:
    machine: dict[str, Any] = field(default_factory=dict)
    series: list[Told] = field(default_factory=list)

    def of(self, pool: str, way: str) -> list[Told]:
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


def worker_with(pool: str) -> App:
    app = chapter_app("05")
    app.commands = {"worker": app.commands["worker"]}
    app.needs_newsletter = False
    app.worker_options = f"--pool {pool} {QUIET}"
    return app


def measure_tellings(times: int, repeats: int, tellings: Tellings, step: Step) -> None:
    """Each way in each pool, in turns, so many times in each of the repeats.

    Raises ProjectProblem, RedisProblem, or celery.exceptions.TimeoutError.
    """
    apps = {pool: worker_with(pool) for pool in POOLS}
    step("starting a worker for each pool")
    with running_apps(list(apps.values())) as stage:
        tellings.machine = describe(stage.server)
        for repeat in range(repeats):
            for pool, app in apps.items():
                step(f"run {repeat + 1} of {repeats}: {pool}")
                tellings.series += [tell(app, pool, way, times) for way in WAYS]
