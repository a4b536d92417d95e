"""What chapter 5 has to reach, each as a row that says met or not met."""

from dataclasses import asdict, dataclass
from typing import Any

from course.bench.idle import Crowd
from course.bench.load import Load
from course.bench.summary import Figure, summarise

NOT_MEASURED = "not measured"


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
    what, limit = "delay p50 against the forwarder by hand", "at most 1.3 x"
    if not loads.get("05") or not loads.get("floor"):
        return Target(what, limit, "", NOT_MEASURED)
    ours, floor = (summarise(loads[app])["delay_p50"] for app in ("05", "floor"))
    ratio, best = ours.median / floor.median, ours.least / floor.least
    found = f"{ratio:.2f} x: {ours.median:.1f} ms against {floor.median:.1f} ms"
    # What disturbs a run makes it slower, never faster: the quickest runs say what is possible.
    return judged(what, limit, f"{found} (quickest runs: {best:.2f} x)", ratio <= 1.3)


def telling_target(milliseconds: Figure | None) -> Target:
    what, limit = "telling costs the pool process, median", "under 1 ms"
    if milliseconds is None:
        return Target(what, limit, "", NOT_MEASURED)
    return judged(what, limit, f"{milliseconds.median:.2f} ms", milliseconds.median < 1)


def commands_target(load: Load | None, tabs: Load | None) -> list[Target]:
    """Redis commands a followed task from the web process: the most that any task took."""
    one = "SUBSCRIBE, GET, UNSUBSCRIBE by web, at most for any task"
    many = "the same, one task in {} tabs".format(tabs.clients if tabs else "many")
    rows = []
    for what, measured in ((one, load), (many, tabs)):
        allowed_gets = 2 if measured is load or measured is None else 1 + measured.clients
        limit = f"1, {allowed_gets}, 1" if measured else "1, 2, 1, and a GET a further tab"
        if measured is None:
            rows.append(Target(what, limit, "", NOT_MEASURED))
            continue
        most = measured.commands.most
        found = [most[name] for name in ("subscribe", "get", "unsubscribe")]
        is_met = found[0] <= 1 and found[1] <= allowed_gets and found[2] <= 1
        rows.append(judged(what, limit, ", ".join(map(str, found)), is_met))
    return rows


def memory_target(crowd: Crowd | None, floor: Crowd | None) -> Target:
    what, limit = "resident memory of the web process an idle socket", "under 30 KiB"
    if crowd is None:
        return Target(what, limit, "", NOT_MEASURED)
    found = f"{crowd.kib_a_socket:.1f} KiB, {crowd.opened:,} sockets"
    if floor:
        found += f" (redis-py by hand: {floor.kib_a_socket:.1f} KiB)"
    return judged(what, limit, found, crowd.kib_a_socket < 30)


def sockets_target(tried: int | None, still_open: int, why: str = "") -> Target:
    what, limit = "idle sockets on one web process", "5,000"
    if tried is None:
        return Target(what, limit, why or "./course bench scale measures it", NOT_MEASURED)
    if tried < 5000:
        return Target(what, limit, f"only {tried:,} were tried", NOT_MEASURED)
    found = f"{still_open:,} of {tried:,} open after a heartbeat"
    return judged(what, limit, found, still_open >= 5000)
