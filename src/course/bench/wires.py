"""`./course bench wires`: what the tap between the processes costs, in delay and in CPU time.

Chapter 5 runs twice on one Redis, once behind the tap. The clients are in a process of their own:
in this one they would compete with the tap for the interpreter's lock.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Any

from course.bench.clients import subscribe_and_follow, websocket
from course.bench.load import ends_of, poisson_arrivals, task_lengths
from course.bench.machine import describe
from course.bench.stage import App, Stage, chapter_app, running_apps
from course.bench.wire import Traffic
from course.processes import HOST, free_port, wait_for
from course.wires import Tap

WAYS = ("without", "with")
HEADINGS = ["", "median delay, ms (least to most run)", "CPU of the tap, % of one core"]
RATE = 40.0  # clients that arrive a second
LIMIT = 120.0  # seconds for one load

Step = Callable[[str], None]


@dataclass
class Run:
    """One load. Delays in ms; the CPU time as a share of the load's duration."""

    way: str
    delays: list[float]
    cpu: float


@dataclass
class WiresCost:
    clients: int
    machine: dict[str, Any] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)

    def medians(self, way: str) -> list[float]:
        return [median(run.delays) for run in self.runs if run.way == way]

    def cpu(self) -> float:
        found = [run.cpu for run in self.runs if run.way == "with"]
        return median(found) if found else float("nan")

    def added(self) -> float:
        """How much the tap adds to the median delay, in ms."""
        without, with_tap = (median(self.medians(way)) for way in WAYS)
        return with_tap - without

    def rows(self) -> list[list[str]]:
        rows = []
        for way in WAYS:
            found = self.medians(way)
            text = f"{median(found):.2f} ({min(found):.2f} to {max(found):.2f})"
            rows.append([f"{way} the tap", text, f"{self.cpu():.1%}" if way == "with" else "-"])
        return [*rows, ["added", f"{self.added():.2f}", ""]]

    def as_json(self, is_complete: bool) -> dict[str, Any]:
        return {
            "is_complete": is_complete,
            "machine": self.machine,
            "clients": self.clients,
            "added_ms": self.added(),
            "cpu_percent": self.cpu() * 100,
            "runs": [vars(run) for run in self.runs],
        }


async def play(port: int, clients: int, seconds: float, seed: int) -> dict[str, float]:
    """When each client knew, in seconds since 1970, by its task's id."""

    async def client(moment: float, length: float) -> tuple[str, float]:
        await asyncio.sleep(moment)
        email = f"slow+{length:.3f}@example.com"
        known = await subscribe_and_follow(port, websocket, email, Traffic())
        return known.task_id, known.at

    arrivals = poisson_arrivals(clients, RATE, seed)
    return dict(await asyncio.gather(*map(client, arrivals, task_lengths(clients, seconds, seed))))


def load(app: App, clients: int, seconds: float, seed: int) -> list[float]:
    """The delays of one load, in ms. Raises OSError or subprocess.SubprocessError."""
    order = json.dumps([app.port, clients, seconds, seed])
    command = [sys.executable, "-m", "course.bench.wires", order]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=LIMIT)
    known: dict[str, float] = json.loads(done.stdout)
    ends = ends_of(app.redis_url, list(known))
    return [round((at - ends[task_id]) * 1000, 3) for task_id, at in known.items()]


def put_behind(tap: Tap, stage: Stage, app: App) -> None:
    """Start the app's processes again, behind the tap."""
    stage.end(app.web)
    stage.end(app.worker)
    for name in ("web", "worker"):
        url = tap.redis_url_for(name).rpartition("/")[0]
        own = {"REDIS_URL": f"{url}/{app.database}", "NEWSLETTER_URL": tap.newsletter_url_for(name)}
        app.settings = app.settings | own
        (stage.launch_web if name == "web" else stage.launch_worker)(app)
    app.port = tap.web_port_for(app.port, port=free_port())
    stage.wait_web(app)
    stage.wait_worker(app)


def measure_wires(repeats: int, seconds: float, cost: WiresCost, step: Step) -> None:
    """Loads with and without the tap, in turns. Raises ProjectProblem or RedisProblem."""
    apps = {way: chapter_app("05") for way in WAYS}
    step("starting chapter 5 twice")
    with running_apps(list(apps.values())) as stage:
        cost.machine = describe(stage.server)
        newsletter_url = f"http://{HOST}:{stage.newsletter_port}"
        with Tap(stage.server.url, newsletter_url) as tap:
            put_behind(tap, stage, apps["with"])
            wait_for(lambda: not tap.call(lambda: "down" in tap.states.look().values()), 10)
            for repeat in range(repeats):
                for way in WAYS if repeat % 2 else WAYS[::-1]:
                    step(f"run {repeat + 1} of {repeats}: {way} the tap")
                    cpu, start = tap.call(time.thread_time), time.monotonic()
                    delays = load(apps[way], cost.clients, seconds, seed=repeat)
                    used = tap.call(time.thread_time) - cpu
                    cost.runs.append(Run(way, delays, used / (time.monotonic() - start)))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(partial(play, *json.loads(sys.argv[1]))())))
