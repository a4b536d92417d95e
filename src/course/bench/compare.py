"""`./course bench`: the chapters and the servers by hand under the same load, in turns."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from course.bench.idle import PUBLISHED, Crowd, allow_files, hold_on_fresh, too_few_files
from course.bench.load import Load, poisson_arrivals, run_load, run_tabs, task_lengths
from course.bench.machine import describe
from course.bench.publishing_cost import Series, cost_figure, publish
from course.bench.stage import (
    PEERS,
    WORKER_OPTIONS,
    App,
    Stage,
    chapter_app,
    peer_app,
    running_apps,
)
from course.bench.summary import as_json
from course.bench.targets import (
    Target,
    ahead_target,
    burst_target,
    commands_target,
    delay_target,
    memory_target,
    publishing_target,
    sockets_target,
)

TABS = 10
MESSAGES = 100  # in each series
PEER_SOCKETS = 1000
CROWDED = ("floor", "sse", "socketio")  # the peers whose sockets are measured, too

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
    idle: int = 10_000

    def steps(self) -> int:
        """How many steps the progress bar has."""
        has_six = "06" in self.chapters
        extra = 2 + (1 + len(CROWDED)) * (self.idle > 0) if has_six else 0
        return 1 + (len(self.chapters) + len(PEERS) * has_six) * self.repeats + extra


@dataclass
class Measured:
    """What has been measured so far: an interrupt keeps it."""

    machine: dict[str, Any] = field(default_factory=dict)
    apps: list[App] = field(default_factory=list)
    loads: dict[str, list[Load]] = field(default_factory=dict)
    tabs: Load | None = None
    publishing: list[Series] = field(default_factory=list)
    crowds: dict[str, Crowd] = field(default_factory=dict)  # by the app's key
    idle_problem: str = ""

    def is_worth_keeping(self) -> bool:
        return bool(self.loads)


def compare(plan: Plan, measured: Measured, step: Step) -> None:
    """Measure all of it, and fill `measured` as it goes; `step` is called as each step begins.

    Raises UnknownChapter, ProjectProblem, RedisProblem or RedisError.
    """
    apps = [chapter_app(number) for number in plan.chapters]
    if "06" in plan.chapters:  # it is chapter 6 that is measured by them
        apps += map(peer_app, PEERS)
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
        if "06" in plan.chapters:
            judge_six(plan, stage, measured, step)


def judge_six(plan: Plan, stage: Stage, measured: Measured, step: Step) -> None:
    """What chapter 6's targets need besides the loads."""
    apps = {app.key: app for app in measured.apps}
    six = apps["06"]
    step(f"one task in {TABS} tabs")
    measured.tabs = run_tabs(stage, six, TABS)
    step("publishing, inside the worker")
    measured.publishing = [publish(six, "threads", "chapter 6", MESSAGES) for _ in range(3)]
    if not plan.idle:
        return
    step(f"{plan.idle:,} idle sockets, and a burst of ends")
    allowed = allow_files(plan.idle)
    if allowed < plan.idle:
        measured.idle_problem = too_few_files(plan.idle, allowed)
        return
    measured.crowds["06"] = hold_on_fresh(stage, six, plan.idle, PUBLISHED)
    sockets = min(plan.idle, PEER_SOCKETS)
    for key in CROWDED:
        step(f"{sockets:,} idle sockets on {apps[key].name}")
        measured.crowds[key] = hold_on_fresh(stage, apps[key], sockets, wait=0)


def targets(measured: Measured) -> list[Target]:
    loads = measured.loads.get("06", [])
    most = max(loads, key=lambda load: load.commands.most["query"], default=None)
    crowd = measured.crowds.get("06")
    peers = {PEERS[key][0]: measured.crowds[key] for key in CROWDED if key in measured.crowds}
    return [
        delay_target(measured.loads),
        *(ahead_target(measured.loads, key, PEERS[key][0]) for key in ("socketio", "sse")),
        publishing_target(cost_figure(measured.publishing) if measured.publishing else None),
        *commands_target(most, measured.tabs),
        memory_target(crowd, peers),
        sockets_target(crowd, measured.idle_problem),
        burst_target(crowd),
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
        "idle": {key: asdict(crowd) for key, crowd in measured.crowds.items()},
        "targets": [target.as_json() for target in targets(measured)],
    }
