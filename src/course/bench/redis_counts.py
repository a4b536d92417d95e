"""Which commands Redis was sent, and by whom: INFO commandstats, split with MONITOR by connection.

INFO commandstats counts all commands, whoever sent them. MONITOR names each command's connection
and database; a connection that belongs to the web process is the web's, and what else goes to the
app's database, or publishes or subscribes, is the worker's. (Chapter 4's worker makes a connection
for each message: it would be gone before anybody could ask whose it was.)
"""

import re
import socket
import threading
import uuid
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

import psutil
import redis

from course.processes import wait_for

PUBSUB = {"publish", "subscribe", "unsubscribe"}
NOT_OURS = {"info", "monitor", "client", "config", "echo"}  # the bench's own
# What MONITOR sends is kept as bytes and read afterwards: redis-py's monitor() would read each
# command while the clients run in this process, and hold them up.
LINE = re.compile(rb'\+[\d.]+ \[(\d+) [^\]]*?:(\d+)\] "([^"]+)"([^\r\n]*)')
ARGUMENT = re.compile(rb'"((?:[^"\\]|\\.)*)"')
UUID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
QUERIES = {"get", "mget"}
STATE = b"celery-task-meta-"
LIMIT = 5.0  # seconds, for Redis to answer


@dataclass
class Commands:
    """Calls by command, in lower case. `most` is the highest number for any one task.

    A query is a GET or MGET that reads a task's state; one MGET may read several tasks'.
    """

    web: Counter[str] = field(default_factory=Counter)
    worker: Counter[str] = field(default_factory=Counter)
    queries: int = 0  # by the web process
    most: Counter[str] = field(default_factory=Counter)  # of the web process; "query" among them
    everybody: Counter[str] = field(default_factory=Counter)  # INFO commandstats
    monitored: Counter[str] = field(default_factory=Counter)  # the same, as MONITOR saw it


def command_stats(client: redis.Redis) -> Counter[str]:
    """Calls by command since the server was started."""
    stats = client.info("commandstats")
    found = {name.removeprefix("cmdstat_"): entry["calls"] for name, entry in stats.items()}
    return Counter({name: calls for name, calls in found.items() if "|" not in name})


def ports_of(pid: int) -> set[int]:
    """The local ports of the process's connections; none if it has ended."""
    with suppress(psutil.Error):
        connections = psutil.Process(pid).net_connections("tcp")
        return {connection.laddr.port for connection in connections if connection.laddr}
    return set()


class RedisCounts:
    """Count what one app sends to Redis while a `with` block runs; `commands` has it afterwards.

    Raises redis.RedisError or OSError if the server does not answer.
    """

    def __init__(self, client: redis.Redis, url: str, database: int, web_pid: int) -> None:
        self.client = client
        self.url = url
        self.database = database
        self.web_pid = web_pid
        self.commands = Commands()
        self._received = bytearray()

    def __enter__(self) -> Self:
        parts = urlsplit(self.url)
        address = (parts.hostname or "127.0.0.1", parts.port or 6379)
        self._monitor = socket.create_connection(address, LIMIT)
        if parts.password:
            user = unquote(parts.username or "default")
            self._monitor.sendall(f"AUTH {user} {unquote(parts.password)}\r\n".encode())
            self._monitor.recv(1 << 16)
        self._ports = ports_of(self.web_pid)
        self._before = command_stats(self.client)
        self._monitor.sendall(b"MONITOR\r\n")
        self._monitor.recv(len(b"+OK\r\n"))  # from now on it sees every command
        self._monitor.settimeout(None)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def _read(self) -> None:
        with suppress(OSError):
            while data := self._monitor.recv(1 << 16):
                self._received += data

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self.commands.everybody = command_stats(self.client) - self._before
                for name in NOT_OURS:
                    del self.commands.everybody[name]
                self._ports |= ports_of(self.web_pid)
                self._wait_for_the_last()
        finally:
            with suppress(OSError):
                self._monitor.shutdown(socket.SHUT_RDWR)
            self._reader.join(LIMIT)
            self._monitor.close()
        if kind is None:
            self._sort()

    def _wait_for_the_last(self) -> None:
        """MONITOR sends in order: once it has sent this command, it has sent all before it."""
        last = uuid.uuid4().hex
        self.client.echo(last)
        wait_for(lambda: last.encode() in self._received, LIMIT)

    def _sort(self) -> None:
        by_task: Counter[tuple[str, bytes]] = Counter()
        for database, port, word, rest in LINE.findall(bytes(self._received)):
            command = word.decode().lower()
            if command in NOT_OURS:
                continue
            self.commands.monitored[command] += 1
            if int(port) in self._ports:
                self.commands.web[command] += 1
                arguments = ARGUMENT.findall(rest)
                states = [key for key in arguments if key.startswith(STATE)]
                if command in QUERIES and states:
                    tasks = task_ids(states)
                    self.commands.queries += len(tasks)
                    by_task.update(("query", task_id) for task_id in tasks)
                if command in PUBSUB:
                    by_task.update((command, task_id) for task_id in task_ids(arguments))
            elif int(database) == self.database or command in PUBSUB:
                self.commands.worker[command] += 1
        for (command, _), count in by_task.items():
            self.commands.most[command] = max(self.commands.most[command], count)


def task_ids(arguments: list[bytes]) -> set[bytes]:
    return {found[0] for argument in arguments if (found := UUID.search(argument))}
