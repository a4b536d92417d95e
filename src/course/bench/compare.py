"""`./course bench`: the chapters, the floor and the ceiling under the same load, in turns."""

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from course.bench.idle import Crowd, allow_files, hold, too_few_files
from course.bench.load import Load, poisson_arrivals, run_load, run_tabs, task_lengths
from course.bench.machine import describe
from course.bench.stage import WORKER_OPTIONS, App, Stage, chapter_app, forwarder_app, running_apps
from course.bench.summary import as_json
from course.bench.targets import (
    Target,
    commands_target,
    delay_target,
    memory_target,
    sockets_target,
    telling_target,
)
from course.bench.telling_cost import Told, cost_figure, tell

TABS = 10
TELLINGS = 100
FLOOR_SOCKETS = 1000

Step = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What the reader asked for. `rate` is arrivals a second; `idle` 0 leaves the sockets out."""

    chapters: list[str]
    clients: int = 50
    task_seconds: float = 3
    repeats: int = 3
    rate: float = 40
    seed: int = 1
    idle: int = 5000

    def steps(self) -> int:
        """How many steps the progress bar has."""
        has_five = "05" in self.chapters
        extra = 2 + (self.idle > 0) if has_five else 0
        return 1 + (len(self.chapters) + 2 * has_five) * self.repeats + extra


@dataclass
class Measured:
    """What has been measured so far: an interrupt keeps it."""

    machine: dict[str, Any] = field(default_factory=dict)
    apps: list[App] = field(default_factory=list)
    loads: dict[str, list[Load]] = field(default_factory=dict)
    tabs: Load | None = None
    told: list[Told] = field(default_factory=list)
    crowd: Crowd | None = None
    floor_crowd: Crowd | None = None
    idle_problem: str = ""

    def is_worth_keeping(self) -> bool:
        return bool(self.loads)


def compare(plan: Plan, measured: Measured, step: Step) -> None:
    """Measure all of it, and fill `measured` as it goes; `step` hears of each step's beginning.

    Raises UnknownChapter, ProjectProblem, RedisProblem or RedisError.
    """
    apps = [chapter_app(number) for number in plan.chapters]
    if "05" in plan.chapters:  # it is chapter 5 that is measured by them
        apps += [forwarder_app("floor"), forwarder_app("ceiling")]
    step("starting all processes")
    with running_apps(apps) as stage:
        measured.machine = describe(stage.server)
        measured.apps = apps
        for app in apps:  # the first task of a process imports and connects: it is not counted
            run_load(stage, app, [0, 0], [0.1, 0.1])
        for repeat in range(plan.repeats):
            arrivals = poisson_arrivals(plan.clients, plan.rate, plan.seed + repeat)
            lengths = task_lengths(plan.clients, plan.task_seconds, plan.seed + repeat)
            for app in apps:
                step(f"run {repeat + 1} of {plan.repeats}: {app.name}")
                load = run_load(stage, app, arrivals, lengths)
                measured.loads.setdefault(app.key, []).append(load)
        if five := next((app for app in apps if app.key == "05"), None):
            judge_five(plan, stage, five, measured, step)


def judge_five(plan: Plan, stage: Stage, five: App, measured: Measured, step: Step) -> None:
    """What chapter 5's targets need besides the loads."""
    step(f"one task in {TABS} tabs")
    measured.tabs = run_tabs(stage, five, TABS)
    step("telling, inside the worker")
    measured.told = [tell(five, "threads", "signal handlers", TELLINGS) for _ in range(3)]
    if not plan.idle:
        return
    step(f"{plan.idle:,} idle sockets")
    allowed = allow_files(plan.idle)
    if allowed < plan.idle:
        measured.idle_problem = too_few_files(plan.idle, allowed)
        return
    stage.fresh_web(five)
    crowd = hold(five, [(five.port, five.web.pid)], plan.idle, burst=False)
    measured.crowd = asyncio.run(crowd)
    floor = next(app for app in measured.apps if app.key == "floor")
    stage.fresh_web(floor)
    crowd = hold(floor, [(floor.port, floor.web.pid)], FLOOR_SOCKETS, burst=False, wait=0)
    measured.floor_crowd = asyncio.run(crowd)


def targets(measured: Measured) -> list[Target]:
    loads = measured.loads.get("05", [])
    most = max(loads, key=lambda load: load.commands.most["get"], default=None)
    crowd = measured.crowd
    return [
        delay_target(measured.loads),
        telling_target(cost_figure(measured.told) if measured.told else None),
        *commands_target(most, measured.tabs),
        memory_target(crowd, measured.floor_crowd),
        sockets_target(
            crowd.sockets if crowd else None,
            crowd.still_open if crowd else 0,
            measured.idle_problem,
        ),
    ]


def results_of(plan: Plan, measured: Measured, is_complete: bool) -> dict[str, Any]:
    """All of it as results.json has it: docs/numbers/README.md says what each part means."""
    return {
        "is_complete": is_complete,
        "machine": measured.machine,
        "load": {
            "clients": plan.clients,
            "task_seconds": plan.task_seconds,
            "repeats": plan.repeats,
            "rate": plan.rate,
            "seed": plan.seed,
            "worker": WORKER_OPTIONS.partition(" --without")[0],
        },
        "apps": {
            app.key: as_json(app.name, measured.loads[app.key])
            for app in measured.apps
            if app.key in measured.loads
        },
        "idle": {
            key: asdict(crowd)
            for key, crowd in (("05", measured.crowd), ("floor", measured.floor_crowd))
            if crowd
        },
        "targets": [target.as_json() for target in targets(measured)],
    }
