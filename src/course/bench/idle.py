"""Thousands of sockets that wait: what one costs, how fast they come, and a burst of ends."""

import asyncio
import resource
import time
from dataclasses import dataclass, field
from uuid import uuid4

import psutil
from celery import Celery

from course.bench.clients import submit
from course.bench.feeds import feed_of
from course.bench.load import ends_of
from course.bench.stage import IDLE_QUEUE, App, Stage
from course.bench.wire import Http, Traffic, WireProblem
from course.processes import ProjectProblem

AT_ONCE = 100  # handshakes under way at a time
SPARE_FILES = 200
SPARE_TICKETS = 40
BROWSERS = 20  # that start tasks at the same time
SETTLE = 1.0  # seconds before memory is read
IDLE_WAIT = 10.5  # seconds: longer than the ten between two fallback polls of chapter 6
BURST_LIMIT = 120.0  # seconds for all to be notified
FIRST_LIMIT = 30.0  # seconds for a socket's first frame


@dataclass
class Crowd:
    """What a number of idle sockets has shown. Memory in KiB, delays in ms."""

    sockets: int
    web_processes: int = 1
    opened: int = 0
    problem: str = ""
    connect_rate: float = 0  # sockets a second, each with its first frame
    kib_a_socket: float = 0
    still_open: int = 0  # after the wait
    idle_cpu: float = 0  # of one core, over all web processes, while they wait
    ended: int = 0  # tasks of the burst
    burst_seconds: float = 0  # that the worker took to end them
    burst_rate: float = 0  # messages a second, from the first end to the last receipt
    delays: list[float] = field(default_factory=list)  # of the burst, where results are stored
    not_notified: int = 0


def allow_files(wanted: int) -> int:
    """Raise the soft limit of open files, for us and what we start; return what is allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted += SPARE_FILES
    if soft < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        if allowed > soft:
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
            soft = allowed
    return soft - SPARE_FILES


def too_few_files(sockets: int, allowed: int) -> str:
    return (
        f"This machine lets a process open {allowed + SPARE_FILES:,} files (the hard limit, "
        f"ulimit -Hn): too few for {sockets:,} sockets."
    )


@dataclass(frozen=True)
class Ticket:
    """A task that does not end, and the cookie of the browser that may follow it."""

    task_id: str
    cookie: str = ""


def random_tickets(number: int) -> list[Ticket]:
    """For a server that takes an unknown id for a task that has not begun."""
    return [Ticket(str(uuid4())) for _ in range(number)]


def tickets_for(stage: Stage, app: App, number: int) -> list[Ticket]:
    """So many tasks to wait for. Chapter 6 knows its tasks: there they are started by requests.

    Another web process answers these, so that the one that is measured is fresh; and it sends
    them to a queue that no worker consumes. Raises ProjectProblem.
    """
    number += SPARE_TICKETS
    if app.key != "06":
        return random_tickets(number)
    stage.fresh_web(app, CELERY_QUEUE=IDLE_QUEUE)
    try:
        return asyncio.run(start_tasks(app.port, number))
    except WireProblem as problem:
        raise ProjectProblem(f"{app.name} did not start the tasks to wait for: {problem}") from None


async def start_tasks(port: int, number: int) -> list[Ticket]:
    todo = iter(range(number))
    tickets = []

    async def browser() -> None:
        async with Http(port, Traffic()) as http:
            for _ in todo:
                task_id = await submit(http, "slow+600@example.com")
                tickets.append(Ticket(task_id, http.cookie))

    await asyncio.gather(*(browser() for _ in range(BROWSERS)))
    return tickets


class Waiter:
    """One client that waits for its task's end."""

    def __init__(self, app: App, port: int, ticket: Ticket, traffic: Traffic) -> None:
        self.task_id = ticket.task_id
        self.feed = feed_of(app.key)(port, ticket.task_id, traffic, ticket.cookie)
        self.knew = 0.0
        self.reading: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Raises WireProblem if there is no first frame."""
        await self.feed.open()
        async with asyncio.timeout(FIRST_LIMIT):
            if await self.feed.status() is None:
                raise WireProblem(f"closed at once with {self.feed.close_code}")
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        while (status := await self.feed.status()) is not None:
            if status.get("state") == "SUCCESS":
                self.knew = time.time()

    @property
    def is_open(self) -> bool:
        return self.reading is not None and not self.reading.done()

    async def close(self) -> None:
        if self.reading:
            self.reading.cancel()
        self.feed.abort()


def memory_of(pids: list[int]) -> int:
    return sum(psutil.Process(pid).memory_info().rss for pid in pids)


def cpu_of(pids: list[int]) -> float:
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return sum(one.user + one.system for one in times)


async def open_all(waiters: list[Waiter], crowd: Crowd) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def open_one(waiter: Waiter) -> None:
        async with gate:
            try:
                await waiter.open()
            except (WireProblem, TimeoutError) as problem:
                crowd.problem = crowd.problem or str(problem) or "no first frame in time"

    start = time.monotonic()
    await asyncio.gather(*map(open_one, waiters))
    crowd.opened = sum(waiter.is_open for waiter in waiters)
    crowd.connect_rate = crowd.opened / (time.monotonic() - start)


async def end_tasks(app: App, waiters: list[Waiter], crowd: Crowd, task: str) -> None:
    """Let the worker end these tasks as fast as it can, and wait until all clients know."""
    celery = Celery(broker=app.redis_url, backend=app.redis_url)
    ids = [waiter.task_id for waiter in waiters]
    crowd.ended = len(ids)

    def send() -> tuple[float, float]:
        with celery:
            start, end = celery.send_task(task, [ids]).get(timeout=BURST_LIMIT)
            return float(start), float(end)

    try:
        start, end = await asyncio.to_thread(send)
        crowd.burst_seconds = end - start
        async with asyncio.timeout(BURST_LIMIT):
            await asyncio.gather(*(one.reading for one in waiters if one.reading))
        received = [one.knew for one in waiters if one.knew]
        crowd.burst_rate = len(received) / (max(received) - start) if received else 0
    except Exception as problem:  # whatever Celery, Redis or time brings: the rest still counts
        crowd.problem = crowd.problem or f"the burst did not end: {problem!r}"
    ends = await asyncio.to_thread(ends_of, app.redis_url, ids)
    notified = [one for one in waiters if one.knew and one.task_id in ends]
    crowd.delays = sorted((one.knew - ends[one.task_id]) * 1000 for one in notified)
    crowd.not_notified = sum(not one.knew for one in waiters)


async def warm_up(app: App, ports: list[int], tickets: list[Ticket]) -> None:
    """A few sockets first: what is imported and connected only once is no socket's memory."""
    waiters = [
        Waiter(app, ports[index % len(ports)], ticket, Traffic())
        for index, ticket in enumerate(tickets)
    ]
    await open_all(waiters, Crowd(0))
    for waiter in waiters:
        await waiter.close()
    await asyncio.sleep(SETTLE / 2)


@dataclass(frozen=True)
class Burst:
    """How the waiting ends: a task of inside/publishing.py, and for how many sockets at most."""

    task: str
    most: int | None = None


ENDS = Burst("bench.end")  # results are stored, too, as Celery does
PUBLISHED = Burst("bench.burst", 5000)  # published alone: how fast the web process sends


async def hold(
    app: App,
    webs: list[tuple[int, int]],
    tickets: list[Ticket],
    burst: Burst | None = None,
    wait: float = IDLE_WAIT,
) -> Crowd:
    """Open a socket for each ticket, wait so many seconds, and end their tasks or leave.

    `webs` are the port and the process id of each web process that they are spread over; the first
    SPARE_TICKETS are used to warm up.
    """
    ports, pids = [port for port, _ in webs], [pid for _, pid in webs]
    spare, tickets = tickets[:SPARE_TICKETS], tickets[SPARE_TICKETS:]
    crowd = Crowd(len(tickets), len(webs))
    traffic = Traffic()
    waiters = [
        Waiter(app, ports[index % len(ports)], ticket, traffic)
        for index, ticket in enumerate(tickets)
    ]
    await warm_up(app, ports, spare)
    before = memory_of(pids)
    try:
        await open_all(waiters, crowd)
        await asyncio.sleep(SETTLE)
        crowd.kib_a_socket = (memory_of(pids) - before) / 1024 / max(1, crowd.opened)
        start, cpu = time.monotonic(), cpu_of(pids)
        await asyncio.sleep(wait)
        crowd.idle_cpu = (cpu_of(pids) - cpu) / (time.monotonic() - start)
        still_open = [waiter for waiter in waiters if waiter.is_open]
        crowd.still_open = len(still_open)
        if burst and still_open:
            await end_tasks(app, still_open[: burst.most], crowd, burst.task)
    finally:
        for waiter in waiters:
            await waiter.close()
    return crowd


def hold_on_fresh(
    stage: Stage, app: App, sockets: int, burst: Burst | None = None, wait: float = IDLE_WAIT
) -> Crowd:
    """`hold` so many sockets on one web process that has not served yet."""
    tickets = tickets_for(stage, app, sockets)
    stage.fresh_web(app)
    return asyncio.run(hold(app, [(app.port, app.web.pid)], tickets, burst, wait))
