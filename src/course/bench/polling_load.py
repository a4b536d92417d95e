"""Many pages that poll, as chapter 1's do, for tasks that do not end: when does it break?"""

import asyncio
import time
from dataclasses import dataclass, field
from uuid import uuid4

from course.bench.clients import INTERVAL
from course.bench.idle import cpu_of
from course.bench.stage import App
from course.bench.wire import Http, Traffic, WireProblem

RAMP = 2 * INTERVAL  # seconds that are not counted: the clients come one by one
SLOW = 1.0  # seconds: an answer that takes longer than the interval


@dataclass
class Polling:
    """What so many polling clients have shown. Answer times in ms, sorted."""

    clients: int
    rate: float = 0  # answers a second
    answer_times: list[float] = field(default_factory=list)
    errors: int = 0
    cpu: float = 0  # of one core

    @property
    def is_broken(self) -> bool:
        """It is when one answer in twenty takes longer than the interval, or there is an error."""
        times = self.answer_times
        late = sum(one > SLOW * 1000 for one in times)
        return bool(self.errors) or not times or late > len(times) / 20


async def poll(app: App, clients: int, seconds: float) -> Polling:
    """Let so many clients poll for so many seconds, after a ramp that is not counted."""
    found = Polling(clients)
    traffic = Traffic()
    start = time.monotonic()

    async def client(delay: float) -> None:
        await asyncio.sleep(delay)
        path = f"/task_status/{uuid4()}"
        async with Http(app.port, traffic) as http:
            while True:
                asked = time.monotonic()
                try:
                    status, _ = await http.request("GET", path)
                except WireProblem:
                    status = 0
                answered = time.monotonic()
                if answered > start + RAMP:
                    found.errors += status != 200
                    found.answer_times.append((answered - asked) * 1000)
                await asyncio.sleep(INTERVAL)

    asking = [asyncio.create_task(client(RAMP * index / clients)) for index in range(clients)]
    try:
        await asyncio.sleep(RAMP)
        cpu = cpu_of([app.web.pid])
        await asyncio.sleep(seconds)
        found.cpu = (cpu_of([app.web.pid]) - cpu) / seconds
    finally:
        for one in asking:
            one.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
    found.answer_times.sort()
    found.rate = len(found.answer_times) / seconds
    return found
