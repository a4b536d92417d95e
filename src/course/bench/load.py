"""One load on one app: clients arrive, follow their tasks, and everything is counted."""

import asyncio
import json
import random
import time
from dataclasses import dataclass, field
from datetime import datetime

import psutil
import redis

from course.bench.clients import Follow, Known, follow_of, subscribe_and_follow
from course.bench.redis_counts import Commands, RedisCounts
from course.bench.stage import App, Stage
from course.bench.wire import Http, Traffic

SAMPLE_EVERY = 0.1  # seconds between two looks at the web process's memory
GIVE_UP = 45.0  # seconds after the last task's due end; what is not known then is lost
SPREAD = 0.5  # seconds


@dataclass
class Load:
    """What one load has shown. Delays in ms, bytes of TCP payload, CPU in s, memory in bytes."""

    app: str
    clients: int
    delays: list[float] = field(default_factory=list)
    lost: int = 0  # clients that never knew
    problem: str = ""  # the first client's that was lost
    traffic: Traffic = field(default_factory=Traffic)
    commands: Commands = field(default_factory=Commands)
    web_cpu: float = 0
    web_peak: int = 0
    seconds: float = 0


class WebProcess:
    """The web process seen from outside: CPU time and peak resident memory, in a `with` block."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self.peak = self._process.memory_info().rss
        self.cpu = 0.0

    async def __aenter__(self) -> "WebProcess":
        self._before = self._cpu_time()
        self._sampling = asyncio.create_task(self._sample())
        return self

    async def __aexit__(self, *error: object) -> None:
        self._sampling.cancel()
        self.cpu = self._cpu_time() - self._before

    def _cpu_time(self) -> float:
        times = self._process.cpu_times()
        return times.user + times.system

    async def _sample(self) -> None:
        while True:
            self.peak = max(self.peak, self._process.memory_info().rss)
            await asyncio.sleep(SAMPLE_EVERY)


def poisson_arrivals(clients: int, rate: float, seed: int) -> list[float]:
    """When each client comes, in seconds from the start: a Poisson process of `rate` a second."""
    generator = random.Random(seed)
    moments, now = [], 0.0
    for _ in range(clients):
        now += generator.expovariate(rate)
        moments.append(now)
    return moments


def task_lengths(clients: int, seconds: float, seed: int) -> list[float]:
    """How long each client's task takes: around `seconds`, and evenly spread over a second.

    Were all alike, a client that polls once a second would be late by the same each time.
    """
    generator = random.Random(f"lengths {seed}")
    spread = min(SPREAD, seconds / 2)
    return [seconds + generator.uniform(-spread, spread) for _ in range(clients)]


async def play(app: App, arrivals: list[float], lengths: list[float], load: Load) -> list[Known]:
    """Let the clients come, and return what those knew that were not lost."""
    start = time.monotonic()

    async def client(moment: float, length: float) -> Known:
        await asyncio.sleep(moment - (time.monotonic() - start))
        async with asyncio.timeout(length + GIVE_UP):
            email = f"slow+{length:.3f}@example.com"
            return await subscribe_and_follow(app.port, follow_of(app.key), email, load.traffic)

    async with WebProcess(app.web.pid) as web:
        found = await asyncio.gather(*map(client, arrivals, lengths), return_exceptions=True)
    load.seconds = time.monotonic() - start
    load.web_cpu, load.web_peak = web.cpu, web.peak
    problems = [known for known in found if isinstance(known, BaseException)]
    load.lost = len(problems)
    load.problem = repr(problems[0]) if problems else ""
    return [known for known in found if isinstance(known, Known)]


def ends_of(redis_url: str, task_ids: list[str]) -> dict[str, float]:
    """When each task ended, in seconds since 1970: the `date_done` that Celery has stored."""
    client: redis.Redis = redis.Redis.from_url(redis_url, socket_timeout=10)
    with client:
        stored = client.mget([f"celery-task-meta-{task_id}" for task_id in task_ids])
    ends = {}
    for task_id, text in zip(task_ids, stored, strict=True):
        if done := json.loads(text or "{}").get("date_done"):
            ends[task_id] = datetime.fromisoformat(done).timestamp()
    return ends


def run_load(stage: Stage, app: App, arrivals: list[float], lengths: list[float]) -> Load:
    """Play one load and count. Raises RedisError or OSError if Redis is gone."""
    load = Load(app.key, len(arrivals))
    client = stage.server.client
    with RedisCounts(client, stage.server.url, app.database, app.web.pid) as counts:
        known = asyncio.run(play(app, arrivals, lengths, load))
    load.commands = counts.commands
    ends = ends_of(app.redis_url, [one.task_id for one in known]) if known else {}
    load.delays = sorted((one.at - ends[one.task_id]) * 1000 for one in known)
    return load


async def follow_with_tabs(app: App, tabs: int, task_seconds: float, load: Load) -> None:
    """One task that so many tabs follow."""
    follow: Follow = follow_of(app.key)
    async with Http(app.port, load.traffic) as http, asyncio.timeout(task_seconds + GIVE_UP):
        body = {"email": f"slow+{task_seconds:g}@example.com"}
        _, answer = await http.request("POST", "/subscriptions", body)
        await asyncio.gather(*(follow(http, answer["task_id"]) for _ in range(tabs)))


def run_tabs(stage: Stage, app: App, tabs: int, task_seconds: float = 1) -> Load:
    """What it costs when many tabs follow one task, by WebSocket."""
    load = Load(app.key, tabs)
    client = stage.server.client
    with RedisCounts(client, stage.server.url, app.database, app.web.pid) as counts:
        asyncio.run(follow_with_tabs(app, tabs, task_seconds, load))
    load.commands = counts.commands
    return load
