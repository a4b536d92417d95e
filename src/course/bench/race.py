"""`./course race`: one client of each chapter starts the same task at the same moment."""

import asyncio
import json
import math
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import datetime

import redis
import redis.asyncio

from course.bench.clients import follow_of, submit
from course.bench.lanes import Event, Lane
from course.bench.load import run_load
from course.bench.redis_counts import RedisCounts
from course.bench.stage import App, Stage, chapter_app, running_apps
from course.bench.wire import Http, Traffic, WireProblem
from course.content.chapters import all_chapters

POLL_SECONDS = 0.05  # seconds between two queries for the task's end, on a connection of our own
FALLBACK_POLL = 5.0  # seconds: chapter 4's page learns the end at one of these
GIVE_UP = 20.0  # seconds after the task's end
FRAMES_A_SECOND = 15

Draw = Callable[[list[Lane], float], None]
Hear = Callable[[Lane, Event], None]


def until_of(seconds: float) -> float:
    """The time axis, in seconds, up to chapter 4's next fallback poll after the task's end."""
    return max(seconds + 1.5, math.ceil((seconds + 0.3) / FALLBACK_POLL) * FALLBACK_POLL + 0.7)


class Race:
    """The lanes, and how they are filled. `hear` is called at each event, `draw` as time passes."""

    def __init__(self, seconds: float, hear: Hear, draw: Draw) -> None:
        self.seconds = seconds
        self.hear = hear
        self.draw = draw
        self.apps = [chapter_app(chapter.number) for chapter in all_chapters()]
        self.lanes = [Lane(app.name, app.key) for app in self.apps]

    def run(self, say: Callable[[str], None]) -> None:
        """Raises ProjectProblem, RedisProblem or RedisError if the chapters do not run."""
        say("starting all chapters")
        with running_apps(self.apps) as stage:
            for app in self.apps:
                run_load(stage, app, [0, 0], [0.1, 0.1])  # the first task of a process imports
            say("go")
            with ExitStack() as stack:
                counting = [stack.enter_context(self.counts(stage, app)) for app in self.apps]
                asyncio.run(self.race())
            for lane, counts in zip(self.lanes, counting, strict=True):
                lane.counts["queries"] = counts.commands.queries

    def counts(self, stage: Stage, app: App) -> RedisCounts:
        return RedisCounts(stage.server.client, stage.server.url, app.database, app.web.pid)

    async def race(self) -> None:
        self.start, self.start_clock = time.monotonic(), time.time()
        drawing = asyncio.create_task(self.keep_drawing())
        try:
            await asyncio.gather(*map(self.one_client, self.apps, self.lanes))
        finally:
            drawing.cancel()

    def now(self) -> float:
        return time.monotonic() - self.start

    async def keep_drawing(self) -> None:
        while True:
            self.draw(self.lanes, self.now())
            await asyncio.sleep(1 / FRAMES_A_SECOND)

    async def one_client(self, app: App, lane: Lane) -> None:
        def note(kind: str, text: str) -> None:
            lane.events.append(Event(self.now(), kind, text))
            self.hear(lane, lane.events[-1])

        traffic = Traffic(on_event=note)
        looking = None
        try:
            async with asyncio.timeout(self.seconds + GIVE_UP), Http(app.port, traffic) as http:
                task_id = await submit(http, f"slow+{self.seconds:g}@example.com")
                looking = asyncio.create_task(self.look_for_end(app, lane, task_id))
                known = await follow_of(app.key)(http, task_id)
                lane.knew = known.at - self.start_clock
                await looking
        except (WireProblem, TimeoutError, redis.RedisError) as problem:
            lane.problem = str(problem) or "no end in time"
        finally:
            if looking:
                looking.cancel()
                with suppress(asyncio.CancelledError, redis.RedisError):
                    await looking
            lane.counts["bytes"] = traffic.bytes_sent + traffic.bytes_received

    async def look_for_end(self, app: App, lane: Lane, task_id: str) -> None:
        """Query the result backend for the end; it is for the drawing alone."""
        async with redis.asyncio.Redis.from_url(app.redis_url, socket_timeout=5) as client:
            while lane.ended is None:
                meta = json.loads(await client.get(f"celery-task-meta-{task_id}") or "{}")
                if done := meta.get("date_done"):
                    lane.ended = datetime.fromisoformat(done).timestamp() - self.start_clock
                await asyncio.sleep(POLL_SECONDS)
