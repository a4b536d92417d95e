"""Ports of this machine: which are free, and whether a server answers at one."""

import fcntl
import os
import random
import socket
from collections import deque
from functools import cache
from http.client import HTTPException, InvalidURL
from threading import Lock
from typing import IO
from urllib.error import HTTPError
from urllib.request import urlopen

HOST = "127.0.0.1"
PORTS = range(20_000, 32_000)  # below those that Linux, macOS and Windows give to connections
CHOICE = random.SystemRandom()
GIVEN: deque[int] = deque()  # what this process was given last
LAST_GIVEN = 200
GIVING = Lock()


def free_port() -> int:
    """A port that no server listens at, and that stays free until ours is started.

    Not one that the kernel chooses: it may give the same one to the next connection. Nor one that
    this process, or another of the course, has been given a moment ago: its server is on its way.
    """
    with GIVING:
        for port in CHOICE.sample(PORTS, 100):
            if port not in GIVEN and is_free(port) and lock(port, fcntl.LOCK_EX | fcntl.LOCK_NB):
                if len(GIVEN) == LAST_GIVEN:
                    lock(GIVEN.popleft(), fcntl.LOCK_UN)
                GIVEN.append(port)
                return port
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@cache
def reservations() -> IO[bytes] | None:
    """A file each of whose bytes stands for a port: who has locked it, has been given the port.

    One for all the checkouts that a user has on this machine, whatever TMPDIR says.
    """
    path = f"/tmp/course-ports-{os.getuid()}"
    try:
        # Another user may have put a link of that name there.
        return open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+b")
    except OSError:  # processes do not know of each other's ports
        return None


def lock(port: int, operation: int) -> bool:
    """Lock or unlock the port's byte. A lock ends with this process, however it ends."""
    if file := reservations():
        try:
            fcntl.lockf(file, operation, 1, port)
        except OSError:  # another process has been given the port
            return False
    return True


def is_free(port: int) -> bool:
    return not port_problem(port)


def port_problem(port: int) -> str:
    """Why no server of ours can listen there: "taken ..." or "not allowed ..."; "" if it can."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except PermissionError:
            return "not allowed: the system keeps the ports below 1024 for its administrator"
        except OSError:
            return "taken by another program"
        return ""


def answers(url: str) -> bool:
    """Does the server at `url` answer at all? Any status below 500 will do."""
    try:
        with urlopen(url, timeout=2):
            return True
    except HTTPError as error:
        return error.code < 500
    except InvalidURL:  # it has answered, with a redirect to nowhere
        return True
    except (OSError, HTTPException, ValueError):  # nothing is there, or no HTTP is spoken
        return False
