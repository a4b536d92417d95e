"""The ports that servers are started at: none is given twice while its server is on its way."""

import subprocess
import sys
from collections import deque

import pytest

from course.processes import ports

GIVE_AND_WAIT = """
import sys
from course.processes import ports
ports.PORTS = range(19_000, 19_100)
ports.is_free = lambda port: True
print(*(ports.free_port() for _ in range(50)), flush=True)
sys.stdin.read()
"""


def test_port_is_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred ports out of a hundred: each once, though no server listens at any yet."""
    few = range(19_000, 19_100)
    monkeypatch.setattr(ports, "PORTS", few)
    monkeypatch.setattr(ports, "GIVEN", deque())
    monkeypatch.setattr(ports, "is_free", lambda port: True)
    monkeypatch.setattr(ports, "reservations", lambda: None)
    assert sorted(ports.free_port() for _ in few) == list(few)


def test_port_is_given_to_one_process() -> None:
    """Two processes share a hundred ports: each gets those that the other was not given."""
    command = [sys.executable, "-c", GIVE_AND_WAIT]
    pipe = subprocess.PIPE
    with (
        subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as one,
        subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as other,
    ):
        given: list[int] = []
        for process in (one, other):
            assert process.stdout
            given += map(int, process.stdout.readline().split())
        for process in (one, other):
            process.communicate(timeout=10)
    assert sorted(given) == list(range(19_000, 19_100))
