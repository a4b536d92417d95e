"""A soak: a steady flow of tasks and clients, with random faults, and a ledger at the end.

Run it in the chapter's folder:  python -m tests.soak --minutes 10
"""

import argparse
import asyncio
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import cycle
from pathlib import Path

import httpx
import psutil
from websockets.exceptions import WebSocketException

from course.processes import Process
from course.processes.interrupts import ended_by_signals
from course.testkit import RunningProject, Web, running
from course.testkit.expect import NotAsExpected

FOLDER = Path(__file__).resolve().parents[1]
SETTINGS: dict[str, object] = {
    "WS_MOST_PER_CLIENT": 100_000,
    "WS_MOST_PER_TASK": 100_000,
    "TASKS_PER_MINUTE": 100_000,
    "CELERY_VISIBILITY_TIMEOUT": 10,
    "NEWSLETTER_DEADLINE_SECONDS": 8,
    "WS_FALLBACK_POLL_SECONDS": 2,
}
EVERY = 0.15  # seconds between two tasks
MOST_AT_ONCE = 150  # clients: on a busy machine tasks must not come faster than they are done
FAULT_EVERY = 6.0  # seconds between two faults, on average
# Seconds that a client follows its task at most. What a killed worker has held back, another one
# finds: it searches every 5 s. One that dies while it searches leaves a lock for 30 s.
PATIENCE = 120.0


class Soak:
    def __init__(self, project: RunningProject, seed: int) -> None:
        self.project = project
        self.random = random.Random(seed)
        self.ledger: Counter[str] = Counter()
        self.web = project.web
        self.clients: set[asyncio.Task[None]] = set()
        self.unlearned: set[str] = set()
        self.started_at: dict[str, float] = {}  # of each task
        self.killed_at: list[float] = []  # workers

    async def flow(self, until: float) -> None:
        """Start tasks, each followed by one to three clients, one in four of whom leaves early."""
        # All clients are of one session, which the first task begins.
        await asyncio.to_thread(self.project.subscribe, "slow+0@example.com")
        cookies = self.project.http.cookies
        async with httpx.AsyncClient(timeout=10, cookies=cookies) as http:
            while time.monotonic() < until:
                await asyncio.sleep(EVERY)
                if len(self.clients) >= MOST_AT_ONCE:
                    continue
                task_id = await self.start_task(http)
                for _ in range(self.random.randint(1, 3)) if task_id else ():
                    leaves = self.random.random() < 0.25
                    client = asyncio.create_task(
                        self.leave(task_id) if leaves else self.stay(task_id)
                    )
                    self.clients.add(client)
                    client.add_done_callback(self.clients.discard)

    async def start_task(self, http: httpx.AsyncClient) -> str:
        number = self.ledger["tasks started"]
        slow = f"slow+{self.random.uniform(0, 2):.2f}@example.com"
        busy = f"busy+1@{number}.example.com"
        email = self.random.choice([slow, busy, "refused@example.com", "slow+0.05@example.com"])
        try:
            answer = await http.post(f"{self.web.url}/subscriptions", json={"email": email})
        except httpx.TransportError:
            self.ledger["tasks refused: web process away"] += 1
            return ""
        if answer.status_code != 202:
            self.ledger[f"tasks refused: {answer.status_code}"] += 1
            return ""
        self.ledger["tasks started"] += 1
        task_id = str(answer.json()["task_id"])
        self.started_at[task_id] = time.monotonic()
        return task_id

    async def stay(self, task_id: str) -> None:
        """Follow the task as the page does, until its end is learned."""
        self.ledger["clients that stay"] += 1
        state, lost = await self.project.stay(task_id, self.web, PATIENCE)
        self.ledger["connections lost"] += lost
        if state:
            self.ledger["ends learned"] += 1
            self.ledger[f"  as {state}"] += 1
        else:
            self.ledger["ENDS NOT LEARNED"] += 1
            self.unlearned.add(task_id)

    async def leave(self, task_id: str) -> None:
        """Connect, and leave after a moment, with or without a word."""
        self.ledger["clients that leave"] += 1
        try:
            async with await self.project.open_socket(task_id, self.web) as socket:
                await asyncio.sleep(self.random.uniform(0, 0.5))
                if self.random.random() < 0.5:
                    socket.transport.abort()
        except (OSError, NotAsExpected, WebSocketException):
            return

    async def faults(self, until: float) -> None:
        kinds: list[Callable[[], Awaitable[None]]] = [
            self.restart_redis,
            self.freeze_redis,
            self.cut_pubsub,
            self.restart_web,
            self.kill_pool_process,
            self.kill_worker,
        ]
        self.random.shuffle(kinds)
        for fault in cycle(kinds):
            pause = self.random.uniform(0.5, 1.5) * FAULT_EVERY
            if pause > until - time.monotonic():
                return
            await asyncio.sleep(pause)
            self.ledger[f"fault: {fault.__name__}"] += 1
            await fault()

    async def restart_redis(self) -> None:
        await asyncio.to_thread(self.project.redis.kill)
        await asyncio.sleep(1)
        await asyncio.to_thread(self.project.redis.start)

    async def freeze_redis(self) -> None:
        self.project.redis.signal(signal.SIGSTOP)
        await asyncio.sleep(2)
        self.project.redis.signal(signal.SIGCONT)

    async def cut_pubsub(self) -> None:
        self.project.redis.client.client_kill_filter(_type="pubsub")

    async def restart_web(self) -> None:
        port = self.web.port
        self.web.process.kill()
        self.web = await asyncio.to_thread(self.project.start_web, port)

    async def kill_pool_process(self) -> None:
        pool = psutil.Process(self.project.worker.pid).children()
        if pool:
            with suppress(psutil.NoSuchProcess):  # the worker may just have died by itself
                self.random.choice(pool).kill()

    async def kill_worker(self) -> None:
        self.killed_at.append(time.monotonic())
        self.project.worker.kill()

    async def supervise(self) -> None:
        """Start the worker again when it has ended, as systemd or a container's engine does."""
        while True:
            await asyncio.sleep(0.5)
            if self.project.worker.exit_code is not None:
                self.ledger["worker started again"] += 1
                self.project.worker = self.start_worker()

    def start_worker(self) -> Process:
        return self.project.launch_worker("--concurrency 6")

    async def run(self, minutes: float) -> None:
        until = time.monotonic() + minutes * 60
        print(f"Soaking for {minutes:g} minutes ...", flush=True)
        # A quiet tail, so that what is left afterwards is a leak and no after-effect.
        supervisor = asyncio.create_task(self.supervise())
        await asyncio.gather(self.flow(until - 5), self.faults(until - 15))
        await asyncio.gather(*self.clients)
        supervisor.cancel()


def taken_along(soak: Soak) -> list[str]:
    """The tasks that Redis has given to a worker which was killed before it had noted them.

    Redis as broker has this gap, of one task a worker at most: see docs/under/delivery.md. Such a
    task is in no queue, and no worker has said that it received it.
    """
    project, found = soak.project, []
    logs = "\n".join(line for process in project.processes for line in process.lines)
    kept = project.redis.client.lrange("celery", 0, -1) + project.redis.client.hvals("unacked")
    for task_id in soak.unlearned:
        is_pending = project.status(task_id, soak.web)["state"] == "PENDING"
        is_known = f"[{task_id}] received" in logs or any(task_id in message for message in kept)
        if is_pending and not is_known:
            found.append(task_id)
            after = [at - soak.started_at[task_id] for at in soak.killed_at]
            seconds = min((one for one in after if one > -1), default=0)
            print(f"{task_id} was started {seconds:.2f} s before a worker was killed, and lost.")
    return found


def left_behind(project: RunningProject, web: Web) -> dict[str, int]:
    """What the web process and Redis hold when no client is there."""
    process = psutil.Process(web.process.pid)
    connections = process.net_connections("inet")
    clients = [one for one in connections if one.laddr.port == web.port and one.raddr]
    return {
        "channels": len(project.channels()),
        "clients' connections": len([one for one in clients if one.status == "ESTABLISHED"]),
        "file descriptors above 60": max(0, process.num_fds() - 60),
        "processes of the web server": len(process.children()),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    with ended_by_signals(), running(FOLDER, settings=SETTINGS) as project:
        project.end(project.worker)
        soak = Soak(project, options.seed)
        project.worker = soak.start_worker()
        asyncio.run(soak.run(options.minutes))
        time.sleep(5)
        left = left_behind(project, soak.web)
        taken = taken_along(soak)
        soak.ledger["tasks taken along by a killed worker"] = len(taken)
        for task_id in sorted(soak.unlearned.difference(taken))[:10]:
            print("not learned:", project.status(task_id, soak.web))
            for process in project.processes:
                print("\n".join(line for line in process.lines if task_id in line))

    for name, number in [*sorted(soak.ledger.items()), *left.items()]:
        print(f"{number:8} {name}")
    ledger = soak.ledger
    lost = len(soak.unlearned.difference(taken))
    good = (
        not lost
        and len(taken) <= len(soak.killed_at)
        and not any(left.values())
        and ledger["ends learned"] > 0
    )
    what = "Nothing else" if taken else "Nothing"
    print(f"{what} was lost, and nothing is left." if good else "SOMETHING WAS LOST OR IS LEFT.")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
