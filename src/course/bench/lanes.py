"""The race as text: a lane for each chapter, all on one time axis."""

from dataclasses import dataclass, field

from rich.console import Group
from rich.table import Table
from rich.text import Text

LEGEND = "↑ request  ↓ answer  ─ waiting for it  ━ socket open  ● frame  │ the task ends  ✔ known"
STYLE = {
    "↑": "red",
    "↓": "yellow",
    "─": "yellow",
    "━": "blue",
    "●": "bold cyan",
    "│": "bold",
    "✔": "bold green",
}
SIGNS = {"request": "↑", "answer": "↓", "handshake": "↑", "open": "↓", "frame": "●"}


@dataclass(frozen=True)
class Event:
    """Something that a client sent or received, `at` seconds after the start."""

    at: float
    kind: str  # request, answer, handshake, open, frame or close
    text: str


@dataclass
class Lane:
    """One client's race; times in seconds after the start."""

    name: str
    key: str
    events: list[Event] = field(default_factory=list)
    ended: float | None = None  # the task, as the result backend says
    knew: float | None = None
    problem: str = ""
    counts: dict[str, int] = field(default_factory=dict)

    def count(self, *kinds: str) -> int:
        return sum(event.kind in kinds for event in self.events)

    @property
    def late_ms(self) -> float | None:
        if self.ended is None or self.knew is None:
            return None
        return (self.knew - self.ended) * 1000

    def spans(self, first: str, last: str, now: float) -> list[tuple[float, float]]:
        """From each event of the first kind to the next of the last; an open one goes up to now."""
        found, begin = [], None
        for event in self.events:
            if event.kind == first:
                begin = event.at
            elif event.kind == last and begin is not None:
                found.append((begin, event.at))
                begin = None
        return found if begin is None else [*found, (begin, now)]


def draw_lane(lane: Lane, now: float, until: float, width: int) -> Text:
    """The lane up to now, in so many characters for `until` seconds."""
    cells = [" "] * width

    def column(at: float) -> int:
        return min(width - 1, max(0, int(at / until * width)))

    for sign, first, last in (("─", "request", "answer"), ("━", "open", "close")):
        for begin, end in lane.spans(first, last, now):
            for index in range(column(begin), column(end) + 1):
                cells[index] = sign
    for event in lane.events:
        if sign := SIGNS.get(event.kind, ""):
            index = column(event.at)
            # What happens within one character's time: an answer gives way to the next question.
            is_taken = cells[index] in "↑●" and sign == "↓"
            if is_taken and index + 1 < width:
                index += 1
            cells[index] = sign
    if lane.ended is not None and lane.ended <= now:
        cells[column(lane.ended)] = "│"
    if lane.knew is not None:
        known, ended = column(lane.knew), column(lane.ended or 0)
        cells[min(width - 1, known + 1) if known == ended else known] = "✔"
    return Text.assemble(*((cell, STYLE.get(cell, "")) for cell in cells))


def axis(until: float, width: int) -> str:
    """Seconds below the lanes, as many as there is room for."""
    cells = [" "] * (width + 4)
    step = max(1, round(until * 5 / width))
    for second in range(0, int(until) + 1, step):
        start = int(second / until * width)
        cells[start : start + len(f"{second} s")] = f"{second} s"
    return "".join(cells)[:width]


def result_of(lane: Lane) -> str:
    if lane.problem:
        return f"[red]{lane.problem}[/]"
    if lane.late_ms is not None:
        return f"[green]+{lane.late_ms:,.0f} ms[/]"
    return "ended, not known yet" if lane.ended is not None else ""


def draw(lanes: list[Lane], now: float, until: float, width: int) -> Group:
    """All lanes; `width` is the terminal's."""
    room = max(20, width - 18 - 20 - 5)
    table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=False)
    table.add_column(width=18, no_wrap=True)
    table.add_column(width=room, no_wrap=True)
    table.add_column(width=20, no_wrap=True)
    for lane in lanes:
        table.add_row(lane.name, draw_lane(lane, now, until, room), result_of(lane))
        table.add_row()
    table.add_row("", axis(until, room), f"{now:.1f} s")
    return Group(table, Text(LEGEND, "dim"))


def counts_table(lanes: list[Lane]) -> Table:
    """What each client sent and received, and how late it knew, side by side."""
    table = Table(box=None, title="At the end", title_justify="left", title_style="bold")
    table.add_column("", no_wrap=True)
    for name in ("requests", "frames", "bytes", "queries by web", "known after the end"):
        table.add_column(name, justify="right")
    for lane in lanes:
        late = "-" if lane.late_ms is None else f"{lane.late_ms:,.0f} ms"
        requests, frames = lane.count("request", "handshake"), lane.count("frame")
        numbers = (requests, frames, lane.counts.get("bytes", 0), lane.counts.get("queries", 0))
        table.add_row(lane.name, *(f"{number:,}" for number in numbers), late)
    return table
