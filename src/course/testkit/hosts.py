"""Hosts with addresses of their own on one machine: network namespaces, joined by a bridge.

A command that a host's command() returns runs there, with the host's name, and finds the others
by theirs. Needs root and Linux's `ip`; see why_no_hosts().
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

# Addresses that are set aside for tests of networks (RFC 2544): nobody's own network.
NETWORKS = [f"198.{second}.{third}" for second in (18, 19) for third in range(256)]
FILES = Path("/etc/netns")  # `ip netns exec` puts what lies here in the place of /etc/hosts


def why_no_hosts() -> str:
    """Why this machine cannot be many hosts; empty if it can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "network namespaces need Linux, and root"
    missing = [name for name in ("ip", "unshare", "hostname") if not shutil.which(name)]
    if missing:
        return f"not installed: {', '.join(missing)}"
    # Root in a container may not do everything.
    tried = subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True)
    return tried.stderr.decode().strip()


def ip(arguments: str, check: bool = True) -> bool:
    done = subprocess.run(["ip", *arguments.split()], check=check, capture_output=not check)
    return done.returncode == 0


def output_of(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout


def without_ipv6(link: str) -> None:
    """It would give itself an address, which is new to this machine: see Network."""
    with suppress(OSError):  # no IPv6 here, or settings that are read-only
        Path(f"/proc/sys/net/ipv6/conf/{link}/disable_ipv6").write_text("1")


@dataclass(frozen=True)
class Host:
    """One namespace. `link` is the bridge's end of its cable; `names` are all that it has."""

    name: str
    names: str
    namespace: str
    address: str
    link: str

    def command(self, command: str) -> str:
        """The command as it runs on this host. The process that starts is the command itself."""
        inside = f'hostname {self.name} && exec "$@"'
        return f"exec ip netns exec {self.namespace} unshare --uts sh -c '{inside}' sh {command}"

    def output(self, *command: str) -> str:
        """What a short command prints on this host."""
        return output_of("ip", "netns", "exec", self.namespace, *command)

    def cut(self) -> None:
        """Pull the cable: packets are lost, and nobody is told."""
        ip(f"link set {self.link} down")

    def mend(self) -> None:
        ip(f"link set {self.link} up")


class Network:
    """A bridge, and the hosts on it. This machine reaches them, and they reach it."""

    def __init__(self) -> None:
        self.hosts: list[Host] = []
        # A bridge that is there already is another test's.
        self.number = next(
            n for n in range(len(NETWORKS)) if ip(f"link add course{n} type bridge", check=False)
        )
        self.bridge = f"course{self.number}"
        without_ipv6(self.bridge)
        ip(f"link set {self.bridge} up")
        # An address of its own here would be new to this machine: a browser that runs meanwhile
        # takes that for another network, and gives up what it is loading.
        if output_of("ip", "-4", "-o", "address", "show", "scope", "global"):
            ip(f"route add {NETWORKS[self.number]}.0/24 dev {self.bridge}")
        else:
            ip(f"address add {NETWORKS[self.number]}.254/24 dev {self.bridge}")

    def add(self, name: str, *more_names: str) -> Host:
        place = len(self.hosts) + 1
        namespace, link = f"{self.bridge}-{name}", f"{self.bridge}-{place}"
        address = f"{NETWORKS[self.number]}.{place}"
        host = Host(name, " ".join((name, *more_names)), namespace, address, link)
        ip(f"netns add {namespace}")
        self.hosts.append(host)
        ip(f"link add {link} type veth peer name eth0 netns {namespace}")
        without_ipv6(link)
        ip(f"link set {link} master {self.bridge} up")
        ip(f"-n {namespace} link set lo up")
        ip(f"-n {namespace} address add {host.address}/24 dev eth0")
        ip(f"-n {namespace} link set eth0 up")
        ip(f"-n {namespace} route add default dev eth0")
        lines = ["127.0.0.1 localhost", *(f"{other.address} {other.names}" for other in self.hosts)]
        for other in self.hosts:
            (FILES / other.namespace).mkdir(parents=True, exist_ok=True)
            (FILES / other.namespace / "hosts").write_text("\n".join(lines) + "\n")
        return host

    @property
    def own_address(self) -> str:
        """The address by which the hosts see this machine."""
        route = output_of("ip", "route", "get", self.hosts[0].address).split()
        return route[route.index("src") + 1]

    def remove(self) -> None:
        for host in self.hosts:
            ip(f"link del {host.link}", check=False)
            ip(f"netns del {host.namespace}", check=False)
            shutil.rmtree(FILES / host.namespace, ignore_errors=True)
        ip(f"link del {self.bridge}", check=False)
        with suppress(OSError):  # others' files are in it
            FILES.rmdir()


@contextmanager
def network() -> Iterator[Network]:
    """A network without hosts yet. Removed afterwards; end the processes on it before."""
    found = Network()
    try:
        yield found
    finally:
        found.remove()
