"""Ports of this machine: which are free, and whether a server answers at one."""

import socket
from urllib.error import HTTPError
from urllib.request import urlopen

HOST = "127.0.0.1"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def answers(url: str) -> bool:
    """Does the server at `url` answer at all? Any status below 500 will do."""
    try:
        with urlopen(url, timeout=2):
            return True
    except HTTPError as error:
        return error.code < 500
    except OSError:
        return False
