"""Helpers for the notebooks, so that their cells show asyncio and nothing else.

Charts: transparent, in mid-grey and colours that can be told apart, readable on a light and on a
dark page. Places: which thread and which event loop a function runs in. A verdict on what the
reader has written.
"""

import asyncio
import io
import logging
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from statistics import median
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

GREY = "#808080"
COLOURS = ["#4f94d4", "#e0803c", "#4aa564", "#b06fc0"]
DOTS_PER_INCH = 160
PIXELS_PER_INCH = 80  # as shown: a picture has twice as many, for sharp screens

# On a machine's first import it may say that it builds its font cache, on stderr.
logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)


class Drawing:
    """A figure that a notebook shows when it is a cell's last line, with a text alternative."""

    def __init__(self, figure: Figure, text: str) -> None:
        self.figure = figure
        self.text = text

    def __repr__(self) -> str:
        return self.text

    def _repr_png_(self) -> tuple[bytes, dict[str, object]]:
        file = io.BytesIO()
        self.figure.savefig(file, format="png", dpi=DOTS_PER_INCH, transparent=True)
        width = round(self.figure.get_figwidth() * PIXELS_PER_INCH)
        return file.getvalue(), {"alt": self.text, "width": width}


@dataclass(frozen=True)
class Span:
    """Who did what, from when to when: seconds since the chart was made."""

    who: str
    what: str
    begin: float
    end: float


@dataclass(frozen=True)
class Mark:
    who: str
    text: str
    at: float


@dataclass
class Gantt:
    """A chart of who did what when. `until` sets the time axis, to compare it with other charts.

    chart = Gantt("One after another")
    with chart.span("order 1", "waits"):
        time.sleep(1)
    chart
    """

    title: str
    until: float = 0
    spans: list[Span] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    start: float = field(default_factory=time.perf_counter)

    @contextmanager
    def span(self, who: str, what: str) -> Iterator[None]:
        begin = self.now()
        try:
            yield
        finally:
            self.spans.append(Span(who, what, begin, self.now()))

    def mark(self, who: str, text: str) -> None:
        """Note that something happened just now."""
        self.marks.append(Mark(who, text, self.now()))

    def now(self) -> float:
        return time.perf_counter() - self.start

    def seconds(self) -> float:
        """From the chart's making to the last end of a span."""
        return max(span.end for span in self.spans)

    def most_at_once(self) -> int:
        """How many spans overlapped, at the moment when most did."""
        return max(
            sum(other.begin <= span.begin < other.end for other in self.spans)
            for span in self.spans
        )

    def rows(self) -> list[str]:
        """Everyone in the chart, in the order in which they first did something."""
        begins = [(span.begin, span.who) for span in self.spans]
        begins += [(mark.at, mark.who) for mark in self.marks]
        return list(dict.fromkeys(who for _, who in sorted(begins)))

    def __repr__(self) -> str:
        lines = [f"{s.who} {s.what} {s.begin:.2f} to {s.end:.2f} s" for s in self.spans]
        lines += [f"{m.who}: {m.text} at {m.at:.2f} s" for m in self.marks]
        return f"Gantt chart, {self.title}: {'; '.join(lines)}"

    def _repr_png_(self) -> tuple[bytes, dict[str, object]]:
        rows = self.rows()
        # Waiting has the same colour in every chart.
        kinds = list(dict.fromkeys(span.what for span in self.spans))
        waits = [kind for kind in kinds if kind.startswith("waits")]
        others = [kind for kind in kinds if kind not in waits]
        colour_of = dict.fromkeys(waits, COLOURS[0])
        colour_of |= dict(zip(others, COLOURS[1:], strict=False))

        has_texts = any(mark.text for mark in self.marks)
        figure, axes = empty(self.title, height=1.1 + (0.55 if has_texts else 0.36) * len(rows))
        last = max([span.end for span in self.spans] + [mark.at for mark in self.marks])
        width = max(self.until, last * 1.03)
        for span in self.spans:
            axes.barh(
                rows.index(span.who),
                max(span.end - span.begin - 0.003 * width, 0),  # a gap to the next span
                left=span.begin,
                height=0.4 if has_texts else 0.62,
                color=colour_of[span.what],
            )
        for mark in self.marks:
            row = rows.index(mark.who)
            place = mark.at / width
            axes.plot(mark.at, row, "o", color=GREY, markeredgecolor="white", clip_on=False)
            axes.annotate(
                mark.text,
                (mark.at, row),
                xytext=(0, 12),
                textcoords="offset points",
                ha="left" if place < 0.05 else "right" if place > 0.95 else "center",
                color=GREY,
                fontsize=9,
            )
        axes.set_yticks(range(len(rows)), rows)
        axes.set_ylim(len(rows) - 0.5, -0.7 if has_texts else -0.5)
        axes.set_xlim(0, width)
        axes.set_xlabel("seconds")
        legend(axes, colour_of)
        return Drawing(figure, repr(self))._repr_png_()


def lines(
    title: str, x: str, y: str, series: Mapping[str, Sequence[tuple[float, float]]]
) -> Drawing:
    """Points joined by lines, one line a name; both axes logarithmic."""
    figure, axes = empty(title, height=3)
    texts = []
    for (name, points), colour in zip(series.items(), COLOURS, strict=False):
        xs, ys = zip(*points, strict=True)
        axes.plot(xs, ys, "o-", color=colour)
        texts.append(f"{name}: " + ", ".join(f"{a:g}: {b:.3g}" for a, b in points))
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.set_xlabel(x)
    axes.set_ylabel(y, color=GREY)
    axes.grid(axis="y", color=GREY, alpha=0.25)
    legend(axes, dict(zip(series, COLOURS, strict=False)))
    return Drawing(figure, f"{title}; {x}: {y}. {'; '.join(texts)}")


def cost(title: str, milliseconds: Mapping[str, Sequence[float]]) -> Drawing:
    """One row a name: a dot for each measurement, a line at the median, in milliseconds."""
    names = list(milliseconds)
    figure, axes = empty(title, height=1.1 + 0.5 * len(names))
    texts = []
    for row, (name, values) in enumerate(milliseconds.items()):
        middle = median(values)
        # Spread over the row's height, so that dots do not hide each other.
        heights = [row + 0.5 * ((index * 0.618) % 1 - 0.5) for index in range(len(values))]
        axes.plot(values, heights, ".", color=COLOURS[0], alpha=0.35, markeredgewidth=0)
        axes.plot([middle, middle], [row - 0.36, row + 0.36], color=COLOURS[1], linewidth=3)
        axes.annotate(
            f"{middle:.2g} ms",
            (middle, row - 0.36),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            color=GREY,
            fontsize=9,
        )
        texts.append(f"{name} {middle:.2g} ms")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.75)
    axes.set_xlabel("milliseconds a call (logarithmic); the line is the median")
    axes.grid(axis="x", color=GREY, alpha=0.25)
    return Drawing(figure, f"{title}, median: {'; '.join(texts)}")


def empty(title: str, height: float) -> tuple[Figure, Axes]:
    """A figure with one pair of axes in grey on nothing; `height` in inches."""
    figure = Figure(figsize=(9, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, color=GREY, fontsize=11, loc="left")
    axes.tick_params(colors=GREY, which="both")
    axes.xaxis.label.set_color(GREY)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(GREY)
    return figure, axes


def legend(axes: Axes, colour_of: Mapping[str, str]) -> None:
    axes.legend(
        handles=[Patch(color=colour, label=name) for name, colour in colour_of.items()],
        loc="center left",
        bbox_to_anchor=(1, 0.5),
        frameon=False,
        labelcolor=GREY,
    )


LOOPS: dict[asyncio.AbstractEventLoop, str] = {}  # the event loops seen so far, by name


class Place(NamedTuple):
    """Where a function runs."""

    who: str
    thread: str
    loop: str

    def __str__(self) -> str:
        return f"{self.who:16} ran in thread {self.thread:24} with {self.loop}"


def where(who: str) -> Place:
    """The thread and the running event loop in which this is called."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        name = "no loop"
    else:
        name = LOOPS.setdefault(loop, f"loop {len(LOOPS)}")
    return Place(who, threading.current_thread().name, name)


def name_loop(name: str, loop: asyncio.AbstractEventLoop | None = None) -> None:
    """Name an event loop, the running one unless another is given."""
    LOOPS[loop or asyncio.get_running_loop()] = name


async def in_worker(function: Callable[..., Any], *arguments: Any) -> Any:
    """Run a function in a new thread without a loop: it stands for the worker's process."""
    # A new one each time: sync_to_async leaves a note of its loop in the threads that it uses.
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="worker") as pool:
        return await asyncio.get_running_loop().run_in_executor(pool, function, *arguments)


class Echo(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        with suppress(ConnectionError):  # the client may leave without closing
            for line in self.rfile:
                self.wfile.write(line)


@contextmanager
def echo_server() -> Iterator[tuple[str, int]]:
    """Stands for Redis: answers each line with the same line. Yields its address."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
        try:
            host, port = server.server_address[:2]
            yield str(host), int(port)
        finally:
            server.shutdown()


def needs(**cells: str) -> None:
    """Say which cell to run first, if a name that it defines is not there yet."""
    names = sys._getframe(1).f_globals  # the notebook's
    for name, cell in cells.items():
        if name not in names:
            raise RuntimeError(f"Run the cell under “{cell}” first: it defines {name}.")


def verdict(seen: object, expected: object) -> None:
    """Print whether a cell that the reader has written does what it should."""
    if seen == expected:
        print("✓ Right.")
    else:
        print(f"Not yet. Expected: {expected!r}. Seen: {seen!r}.")
