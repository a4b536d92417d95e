"""Ports of this machine: which are free, and whether a server answers at one."""

import random
import socket
from http.client import HTTPException, InvalidURL
from urllib.error import HTTPError
from urllib.request import urlopen

HOST = "127.0.0.1"
PORTS = range(20_000, 32_000)  # below those that Linux, macOS and Windows give to connections
CHOICE = random.SystemRandom()


def free_port() -> int:
    """A port that no server listens at, and that stays free until ours is started.

    Not one that the kernel chooses: it may give the same one to the next connection.
    """
    for port in CHOICE.sample(PORTS, 100):
        if is_free(port):
            return port
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


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
