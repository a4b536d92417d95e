"""Thousands of sockets that wait: what one costs, how fast they come, and a burst of ends."""

import asyncio
import json
import resource
import time
from dataclasses import dataclass, field
from uuid import uuid4

import psutil
from celery import Celery

from course.bench.load import ends_of
from course.bench.stage import App
from course.bench.websocket import Socket
from course.bench.wire import Traffic, WireProblem

AT_ONCE = 100  # handshakes under way at a time
SPARE_FILES = 200
SETTLE = 1.0  # seconds before memory is read
IDLE_WAIT = 5.5  # seconds: longer than the five between two looks of a view
BURST_LIMIT = 120.0  # seconds for all to be told
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
    burst_seconds: float = 0  # that the worker took to end all tasks
    delays: list[float] = field(default_factory=list)  # of the burst, sorted
    untold: int = 0


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


class Waiter:
    """One client that waits for its task's end."""

    def __init__(self, port: int, traffic: Traffic) -> None:
        self.task_id = str(uuid4())
        self.socket = Socket(port, f"/ws/task_status/{self.task_id}", traffic)
        self.knew = 0.0
        self.reading: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Raises WireProblem if there is no first frame."""
        await self.socket.open()
        async with asyncio.timeout(FIRST_LIMIT):
            if await self.socket.receive() is None:
                raise WireProblem(f"closed at once with {self.socket.close_code}")
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        while (text := await self.socket.receive()) is not None:
            if json.loads(text)["state"] == "SUCCESS":
                self.knew = time.time()

    @property
    def is_open(self) -> bool:
        return self.reading is not None and not self.reading.done()

    async def close(self) -> None:
        if self.reading:
            self.reading.cancel()
        self.socket.abort()


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


async def end_tasks(app: App, waiters: list[Waiter], crowd: Crowd) -> None:
    """Let the worker end all tasks as fast as it can, and wait until everybody knows."""
    celery = Celery(broker=app.redis_url, backend=app.redis_url)
    ids = [waiter.task_id for waiter in waiters if waiter.is_open]

    def ask() -> float:
        with celery:
            answer = celery.send_task("bench.end", [ids])
            return float(answer.get(timeout=BURST_LIMIT))

    try:
        crowd.burst_seconds = await asyncio.to_thread(ask)
        async with asyncio.timeout(BURST_LIMIT):
            await asyncio.gather(*(one.reading for one in waiters if one.reading))
    except Exception as problem:  # whatever Celery, Redis or time brings: the rest still counts
        crowd.problem = crowd.problem or f"the burst did not end: {problem!r}"
    ends = await asyncio.to_thread(ends_of, app.redis_url, ids)
    told = [one for one in waiters if one.knew and one.task_id in ends]
    crowd.delays = sorted((one.knew - ends[one.task_id]) * 1000 for one in told)
    crowd.untold = crowd.opened - len(told)


async def warm_up(ports: list[int]) -> None:
    """A few sockets first: what is imported and connected only once is no socket's memory."""
    waiters = [Waiter(port, Traffic()) for port in ports for _ in range(20)]
    await open_all(waiters, Crowd(0))
    for waiter in waiters:
        await waiter.close()
    await asyncio.sleep(SETTLE / 2)


async def hold(
    app: App, webs: list[tuple[int, int]], sockets: int, burst: bool, wait: float = IDLE_WAIT
) -> Crowd:
    """Open so many sockets, wait so many seconds, and end their tasks or leave.

    `webs` are the port and the process id of each web process that they are spread over.
    """
    ports, pids = [port for port, _ in webs], [pid for _, pid in webs]
    crowd = Crowd(sockets, len(webs))
    traffic = Traffic()
    waiters = [Waiter(ports[index % len(ports)], traffic) for index in range(sockets)]
    await warm_up(ports)
    before = memory_of(pids)
    try:
        await open_all(waiters, crowd)
        await asyncio.sleep(SETTLE)
        crowd.kib_a_socket = (memory_of(pids) - before) / 1024 / max(1, crowd.opened)
        start, cpu = time.monotonic(), cpu_of(pids)
        await asyncio.sleep(wait)
        crowd.idle_cpu = (cpu_of(pids) - cpu) / (time.monotonic() - start)
        crowd.still_open = sum(waiter.is_open for waiter in waiters)
        if burst and crowd.still_open:
            await end_tasks(app, waiters, crowd)
    finally:
        for waiter in waiters:
            await waiter.close()
    return crowd
