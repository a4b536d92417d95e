"""What `./course record` records of chapters 4 to 6: channels, messages, and workers that end."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from course.content.chapters import ROOT
from course.content.edits import Edit, copy_app
from course.processes import project_environment, wait_for
from course.testkit import RunningProject, Web, run_async, running

LOG_PREFIX = re.compile(r"^\[[-\d]+ ([\d:,]+): \w+/([\w-]+)\]")
FAILURE_LINE = re.compile(r"^E +((?:expected|seen|usually|look at): .*)$", re.M)


class RecordProblem(Exception):
    """A recording cannot be made. The message says why."""


def published(folder: Path) -> list[str]:
    """What publish.py prints, and what a client of each of two web processes receives then."""
    with running(folder, "web", settings={}) as project:
        task_id = str(uuid.uuid4())
        with (
            socket_of(project, task_id, project.web) as here,
            socket_of(project, task_id, project.another_web()) as there,
        ):
            for client in (here, there):
                client.recv(timeout=10)  # the current state
            wait_for(lambda: task_id in project.channels(), 2)
            done = subprocess.run(
                [sys.executable, "publish.py", task_id, "Hello"],
                cwd=folder,
                env=os.environ | project_environment(REDIS_URL=project.redis.url),
                timeout=20,
                capture_output=True,
                text=True,
                check=True,
            )
            return [
                f'python publish.py {task_id} "Hello"',
                done.stdout.strip(),
                "",
                f"the client of web process 1 receives: {received(here)}",
                f"the client of web process 2 receives: {received(there)}",
            ]


def socket_of(project: RunningProject, task_id: str, web: Web) -> ClientConnection:
    return connect(web.task_socket(task_id), origin=Origin(web.origin), close_timeout=2)


def received(client: ClientConnection) -> str:
    try:
        return str(client.recv(timeout=2))
    except TimeoutError:
        return "nothing, in 2 seconds"


def channels(folder: Path, clients: int) -> list[str]:
    """PUBSUB CHANNELS while so many clients follow a task each, and after they have left."""

    async def come_and_go(count: Callable[[], int]) -> int:
        opened = [await project.open_socket(str(uuid.uuid4())) for _ in range(clients)]
        for client in opened:
            await asyncio.wait_for(client.recv(), 10)
        await asyncio.to_thread(wait_for, lambda: count() == clients, 5)
        while_open = await asyncio.to_thread(count)
        for client in opened:
            await client.close()
        return while_open

    with running(folder, "web", settings={}) as project:
        before = project.channels()

        def count() -> int:
            return len(project.channels() - before)

        while_open = run_async(partial(come_and_go, count))
        wait_for(lambda: count() == 0, 5)
        return [
            f"channels while {clients} clients follow a task each: {while_open}",
            f"channels 5 s after the clients have left, at the latest: {count()}",
        ]


def order(folder: Path) -> list[str]:
    """What Redis is sent when a client opens its socket, in order."""
    with running(folder, "web", settings={}) as project:
        task_id, before = str(uuid.uuid4()), project.channels()
        with project.watch_redis() as commands, project.follow(task_id) as follower:
            follower.next()
            project.channel_since(before)
            return [command for command in commands() if task_id in command]


def log(folder: Path, email: str, words: list[str]) -> list[str]:
    """The worker's log of one task: the lines that have one of these words."""
    with running(folder, settings={}) as project:
        known = len(project.worker.lines)
        project.until_final(project.subscribe(email), within=60)

        def found() -> list[str]:
            lines = project.worker.lines[known:]
            return [line for line in lines if any(word in line for word in words)]

        def short(line: str) -> str:
            line = LOG_PREFIX.sub(r"\1 \2  ", line)
            return line.replace("project.subscriptions.tasks.", "")

        wait_for(lambda: any(words[-1] in line for line in found()), 5)
        return [short(line) for line in found()]


def killed(folder: Path, whom: str, watch: float) -> list[str]:
    """What a client receives when the pool process that runs its task, or the worker, is killed."""
    with running(folder, settings={}) as project:
        task_id = project.subscribe("slow+60@example.com")
        wait_for(lambda: project.status(task_id)["state"] == "STARTED", 10)
        lines = []
        with socket_of(project, task_id, project.web) as client:
            lines.append(f"        {client.recv(timeout=10)!s}")
            worker = psutil.Process(project.worker.pid)
            victims = worker.children() if whom == "pool" else [*worker.children(), worker]
            for process in victims:
                process.send_signal(signal.SIGKILL)
            begun = time.monotonic()
            lines.append(f"{0:5.1f} s  the processes of the {whom} are killed")
            for message in messages_of(client, begun + watch):
                lines.append(f"{time.monotonic() - begun:5.1f} s  {message}")
            lines.append(f"{time.monotonic() - begun:5.1f} s  {ended(client)}")
        return lines


def messages_of(client: ClientConnection, until: float) -> Iterator[str]:
    with suppress(TimeoutError, ConnectionClosed):
        while (left := until - time.monotonic()) > 0:
            yield str(client.recv(timeout=left))


def ended(client: ClientConnection) -> str:
    code = client.close_code
    return f"closed with {code}" if code else "the socket is still open, and the client waits"


def connections(folder: Path, tasks: int) -> list[str]:
    """How many connections Redis accepts for the ends of so many tasks."""
    with running(folder, settings={}) as project:
        project.until_final(project.subscribe("slow+0@example.com"))  # what is made once, is made

        def accepted() -> int:
            return int(project.redis.client.info("stats")["total_connections_received"])

        before = accepted()
        for _ in range(tasks):
            project.until_final(project.subscribe("slow+0@example.com"))
        return [f"connections that Redis has accepted for {tasks} tasks: {accepted() - before}"]


def broken(folder: Path, file: str, old: str, new: str, test: str) -> list[str]:
    """What the chapter's test says of the app with this change. Raises RecordProblem."""
    with tempfile.TemporaryDirectory() as made:
        copy = Path(made) / "work-06"
        copy_app(folder, copy, [Edit(file, old, new)])
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "-n",
            "0",
            "-m",
            "",
            "--project",
            str(copy),
        ]
        done = subprocess.run(
            [*command, str(folder / "tests" / test)],
            cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
    said = FAILURE_LINE.findall(done.stdout)
    if done.returncode != 1 or not said:
        raise RecordProblem(f"{test} should fail with the change in {file}:\n{done.stdout[-2000:]}")
    return [*dict.fromkeys(line.strip() for line in said)]


KINDS: dict[str, Callable[..., list[str]]] = {
    "published": published,
    "channels": channels,
    "order": order,
    "log": log,
    "killed": killed,
    "connections": connections,
    "broken": broken,
}
