"""What chapter 6 has to reach, each as a row that says met or not met."""

from dataclasses import asdict, dataclass
from typing import Any

from course.bench.idle import Crowd
from course.bench.load import Load
from course.bench.summary import Figure, summarise

NOT_MEASURED = "not measured"
SOCKETS = 10_000
ENDS = 5000


@dataclass(frozen=True)
class Target:
    what: str
    limit: str
    found: str
    verdict: str  # "met", "not met" or "not measured"

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def judged(what: str, limit: str, found: str, is_met: bool) -> Target:
    return Target(what, limit, found, "met" if is_met else "not met")


def delay_target(loads: dict[str, list[Load]]) -> Target:
    """The delay's p50 against the floor's, each the median over the runs."""
    what, limit = "delay p50 against redis-py by hand on Starlette", "at most 1.3 x"
    if not loads.get("06") or not loads.get("floor"):
        return Target(what, limit, "", NOT_MEASURED)
    ours, floor = (summarise(loads[app])["delay_p50"] for app in ("06", "floor"))
    ratio, best = ours.median / floor.median, ours.least / floor.least
    found = f"{ratio:.2f} x: {ours.median:.1f} ms against {floor.median:.1f} ms"
    # What disturbs a run makes it slower, never faster: the quickest runs say what is possible.
    return judged(what, limit, f"{found} (quickest runs: {best:.2f} x)", ratio <= 1.3)


def ahead_target(loads: dict[str, list[Load]], peer: str, name: str) -> Target:
    """The delay's p50 is below this peer's."""
    what, limit = f"delay p50 against {name}", "below it"
    if not loads.get("06") or not loads.get(peer):
        return Target(what, limit, "", NOT_MEASURED)
    ours, theirs = (summarise(loads[app])["delay_p50"].median for app in ("06", peer))
    return judged(what, limit, f"{ours:.2f} ms against {theirs:.2f} ms", ours < theirs)


def publishing_target(milliseconds: Figure | None) -> Target:
    what, limit = "publishing costs the worker's process, median", "under 1 ms"
    if milliseconds is None:
        return Target(what, limit, "", NOT_MEASURED)
    return judged(what, limit, f"{milliseconds.median:.2f} ms", milliseconds.median < 1)


def commands_target(load: Load | None, tabs: Load | None) -> list[Target]:
    """Redis commands a followed task from the web process: the most that any task took."""
    one = "SUBSCRIBE, query, UNSUBSCRIBE by web, at most for any task"
    many = "the same, one task in {} tabs".format(tabs.clients if tabs else "many")
    rows = []
    for what, measured in ((one, load), (many, tabs)):
        allowed = 2 if measured is load or measured is None else 1 + measured.clients
        limit = f"1, {allowed}, 1" if measured else "1, 2, 1, and a query a further tab"
        if measured is None:
            rows.append(Target(what, limit, "", NOT_MEASURED))
            continue
        most = measured.commands.most
        found = [most[name] for name in ("subscribe", "query", "unsubscribe")]
        is_met = found[0] <= 1 and found[1] <= allowed and found[2] <= 1
        rows.append(judged(what, limit, ", ".join(map(str, found)), is_met))
    return rows


def memory_target(crowd: Crowd | None, peers: dict[str, Crowd]) -> Target:
    what, limit = "resident memory of the web process an idle socket", "under 33 KiB"
    if crowd is None:
        return Target(what, limit, "", NOT_MEASURED)
    found = f"{crowd.kib_a_socket:.1f} KiB, {crowd.opened:,} sockets"
    if peers:
        parts = [f"{name}: {peer.kib_a_socket:.1f}" for name, peer in peers.items()]
        found += f" ({', '.join(parts)})"
    return judged(what, limit, found, crowd.kib_a_socket < 33)


def sockets_target(crowd: Crowd | None, why: str = "") -> Target:
    what, limit = "idle sockets on one web process", f"{SOCKETS:,}"
    if crowd is None:
        return Target(what, limit, why or "./course bench scale measures it", NOT_MEASURED)
    if crowd.sockets < SOCKETS:
        return Target(what, limit, f"only {crowd.sockets:,} were tried", NOT_MEASURED)
    found = f"{crowd.still_open:,} of {crowd.sockets:,} open after a fallback poll"
    return judged(what, limit, found, crowd.still_open >= SOCKETS)


def burst_target(crowd: Crowd | None) -> Target:
    """Messages a second when thousands of tasks end at the same moment."""
    what, limit = f"a burst of {ENDS:,} ends, messages a second", "3,000 or more"
    if crowd is None or crowd.ended < ENDS:
        tried = f"only {crowd.ended:,} were tried" if crowd else ""
        return Target(what, limit, tried, NOT_MEASURED)
    found = f"{crowd.burst_rate:,.0f} a second, {crowd.not_notified:,} not notified"
    return judged(what, limit, found, crowd.burst_rate >= 3000 and not crowd.not_notified)
