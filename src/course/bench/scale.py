"""`./course bench scale`: idle sockets by the thousand, as many that poll, more web processes."""

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from course.bench.idle import (
    ENDS,
    Crowd,
    allow_files,
    hold,
    hold_on_fresh,
    tickets_for,
    too_few_files,
)
from course.bench.machine import describe
from course.bench.polling_load import Polling, poll
from course.bench.stage import (
    App,
    Stage,
    chapter_app,
    layer_app,
    peer_app,
    running_apps,
)
from course.bench.summary import percentile

SOCKET_HEADINGS = [
    "sockets", "web processes", "stay open", "KiB each", "connects a s", "idle CPU, %",
    "messages a s", "delay p50, ms", "p95, ms", "max, ms", "lost",
]  # fmt: skip
POLLING_HEADINGS = [
    "clients", "answers a s", "answer p50, ms", "p95, ms", "max, ms", "errors", "CPU, %", "",
]  # fmt: skip
LAYER_HEADINGS = ["", "KiB a socket"]
LAYER_SOCKETS = 1000  # at most; small sizes make it less
BARE = {"asgi": "uvicorn alone", "starlette": "Starlette", "app": "FastAPI"}

Step = Callable[[str], None]


@dataclass
class Scale:
    machine: dict[str, Any] = field(default_factory=dict)
    options: str = ""
    wait: float = 10.5  # seconds that sockets wait, and clients poll
    crowds: list[Crowd] = field(default_factory=list)
    pollings: list[Polling] = field(default_factory=list)
    layers: dict[str, Crowd] = field(default_factory=dict)  # by the app's key
    names: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)  # a sentence for each that was not tried

    def socket_rows(self) -> list[list[str]]:
        return [
            [
                f"{one.sockets:,}", str(one.web_processes), f"{one.still_open:,}",
                f"{one.kib_a_socket:.1f}", f"{one.connect_rate:,.0f}", f"{100 * one.idle_cpu:.0f}",
                f"{one.burst_rate:,.0f}",
                *(f"{percentile(one.delays, share):,.1f}" for share in (0.5, 0.95, 1)),
                f"{one.not_notified:,}",
            ]
            for one in self.crowds
        ]  # fmt: skip

    def polling_rows(self) -> list[list[str]]:
        return [
            [
                f"{one.clients:,}", f"{one.rate:,.0f}",
                *(f"{percentile(one.answer_times, share):,.0f}" for share in (0.5, 0.95, 1)),
                f"{one.errors:,}", f"{100 * one.cpu:.0f}", "breaks" if one.is_broken else "holds",
            ]
            for one in self.pollings
        ]  # fmt: skip

    def layer_rows(self) -> list[list[str]]:
        rows = self.layers.items()
        return [[self.names[key], f"{crowd.kib_a_socket:.1f}"] for key, crowd in rows]

    def as_json(self, is_complete: bool) -> dict[str, Any]:
        return {
            "is_complete": is_complete,
            "machine": self.machine,
            "web_options": self.options,
            "sockets": [asdict(one) for one in self.crowds],
            "polling": [asdict(one) | {"is_broken": one.is_broken} for one in self.pollings],
            "layers": {key: asdict(crowd) for key, crowd in self.layers.items()},
            "left_out": self.left_out,
        }


def measure_scale(
    sizes: list[int], processes: list[int], spread: int, found: Scale, step: Step
) -> None:
    """Sockets and polling at each size, then `spread` sockets over each number of web processes.

    Fills `found` as it goes. Raises ProjectProblem, RedisProblem or RedisError.
    """
    allowed = allow_files(max(*sizes, spread))
    for size in {*sizes, spread}:
        if size > allowed:
            found.left_out.append(too_few_files(size, allowed))
    six, five, one = (chapter_app(number) for number in ("06", "05", "01"))
    six.commands["web"] += f" {found.options}"
    peers = [peer_app(key) for key in ("floor", "sse", "socketio")]
    for app in (one, five, *peers):
        app.commands = {"web": app.commands["web"]}
    bare = [layer_app(key, name) for key, name in BARE.items()]
    layers = [*bare, *peers, five, six]
    for app in (one, *layers):
        app.needs_newsletter, app.web_comes_later = False, True
    step("starting the processes")
    with running_apps([one, *layers]) as stage:
        found.machine = describe(stage.server)
        for size in (size for size in sizes if size <= allowed):
            step(f"{size:,} sockets")
            found.crowds.append(hold_on_fresh(stage, six, size, ENDS, found.wait))
        for size in (size for size in sizes if size <= allowed):
            if found.pollings and found.pollings[-1].is_broken:
                broken = found.pollings[-1].clients
                found.left_out.append(f"Polling broke at {broken:,}: {size:,} was not tried.")
                continue
            step(f"{size:,} clients that poll")
            stage.fresh_web(one)
            found.pollings.append(asyncio.run(poll(one, size, found.wait)))
        if one.port:
            stage.end(one.web)
        sockets = min(LAYER_SOCKETS, allowed, max(*sizes, spread))
        for app in layers:
            step(f"{sockets:,} sockets on {app.name}")
            crowd = hold_on_fresh(stage, app, sockets, wait=0)
            found.layers[app.key], found.names[app.key] = crowd, app.name
        if spread <= allowed:
            spread_over(stage, six, processes, spread, found, step)


def spread_over(
    stage: Stage, app: App, processes: list[int], sockets: int, found: Scale, step: Step
) -> None:
    """The same number of sockets over several web processes, each on a port of its own."""
    for count in processes:
        step(f"{sockets:,} sockets on {count} web processes")
        tickets = tickets_for(stage, app, sockets)
        stage.fresh_web(app)
        webs, first = [(app.port, app.web.pid)], app.web
        others = []
        for _ in range(count - 1):
            others.append(stage.launch_web(app))
            stage.wait_web(app)
            webs.append((app.port, app.web.pid))
        found.crowds.append(asyncio.run(hold(app, webs, tickets, ENDS, found.wait)))
        for other in others:
            stage.end(other)
        app.web = first
