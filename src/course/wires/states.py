"""Whether each process is up, down, or blocked, as its connections show it.

A process that listens is up while it accepts connections; one that only connects, while it has a
connection. It is blocked when bytes wait for it that it does not read (known on Linux alone).
"""

import threading
from pathlib import Path

from course.wires.event import BROWSER, NEWSLETTER, REDIS
from course.wires.proxy import Proxy

UP, DOWN, BLOCKED = "up", "down", "blocked"
SOCKETS = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]
LOOKS = 2  # in so many looks after another, the same bytes are unread


def lane_order(name: str) -> tuple[int, str]:
    """Where a process stands in a diagram, from left to right."""
    kinds = [BROWSER, "web", REDIS, "worker", NEWSLETTER]
    kind = name.split(" ")[0]
    return (kinds.index(kind) if kind in kinds else len(kinds), name)


class States:
    def __init__(self) -> None:
        self._pairs: list[tuple[str, str, Proxy]] = []
        self._lock = threading.Lock()
        self._unread: dict[tuple[str, int, int], int] = {}  # in how many looks
        self._ended: set[str] = set()

    def add(self, client: str, server: str, proxy: Proxy) -> None:
        with self._lock:
            self._pairs.append((client, server, proxy))

    def has_ended(self, name: str) -> None:
        """The runner has seen the process end."""
        self._ended.add(name)

    def look(self) -> dict[str, str]:
        """The state of each process now, in a diagram's order. The browser has none.

        Call it in the tap's thread, and for BLOCKED about twice a second.
        """
        with self._lock:
            pairs = list(self._pairs)
        names = {name for client, server, _ in pairs for name in (client, server)}
        blocked = self._blocked(pairs)
        servers = {server for _, server, proxy in pairs if proxy.is_listening}
        clients = {client for client, _, proxy in pairs if proxy.links}
        listening_kinds = {server for _, server, _ in pairs}
        states: dict[str, str] = {}
        for name in sorted(names, key=lane_order):
            up = servers if name in listening_kinds else clients
            if name == BROWSER:
                states[name] = ""
            elif name in self._ended or name not in up:
                states[name] = DOWN
            else:
                states[name] = BLOCKED if name in blocked else UP
        return states

    def _blocked(self, pairs: list[tuple[str, str, Proxy]]) -> set[str]:
        unread = unread_bytes()
        if not unread:
            self._unread.clear()
            return set()
        # Both ends of a proxy's connection are sockets of this machine, known by their two ports.
        seen: dict[tuple[str, int, int], int] = {}
        for client, server, proxy in pairs:
            for (local, remote), size in unread.items():
                if remote == proxy.port:
                    seen[client, local, size] = 0
            ports = {link_port(link.server.transport) for link in list(proxy.links)}
            for (local, remote), size in unread.items():
                if local == proxy.target[1] and remote in ports:
                    seen[server, remote, size] = 0
        self._unread = {key: self._unread.get(key, 0) + 1 for key in seen}
        return {name for (name, _, _), looks in self._unread.items() if looks >= LOOKS}


def link_port(transport: object) -> int:
    name = getattr(transport, "get_extra_info")("sockname")  # noqa: B009
    return int(name[1]) if name else 0


def unread_bytes() -> dict[tuple[int, int], int]:
    """What waits unread at this machine's connections, by local and remote port."""
    found: dict[tuple[int, int], int] = {}
    for file in SOCKETS:
        try:
            lines = file.read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            size = int(fields[4].partition(":")[2], 16)
            if size and fields[3] in ("01", "08"):  # established, or closed by the other side
                local, remote = (int(end.rpartition(":")[2], 16) for end in fields[1:3])
                found[local, remote] = size
    return found
