"""The plots, as SVG, each for a light and for a dark page. The same results give the same bytes."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

# On a machine's first import it may say that it builds its font cache, on stderr.
logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Scheme:
    """Colours for one kind of page; the figure itself is transparent."""

    name: str
    ink: str
    faint: str
    colours: tuple[str, ...]  # by ORDER: distinct in grey, too


LIGHT = Scheme(
    "light",
    "#24292f",
    "#8c959f",
    ("#b3261e", "#c4621a", "#8a6d00", "#2f6f9f", "#1a7f37", "#0b5345", *4 * ("#6e7781",)),
)
DARK = Scheme(
    "dark",
    "#e6edf3",
    "#7d8590",
    ("#ff8a80", "#f4a259", "#e3c34a", "#79b8ff", "#56d364", "#b8f2c8", *4 * ("#9ea7b3",)),
)
SCHEMES = (LIGHT, DARK)
ORDER = ("01", "02", "03", "04", "05", "06", "floor", "ceiling", "sse", "socketio")


def colour(app: str, scheme: Scheme) -> str:
    return scheme.colours[ORDER.index(app)]


def new_figure(title: str, height: float, scheme: Scheme) -> tuple[Figure, Axes]:
    """A figure with one pair of axes; `height` in inches."""
    figure = Figure(figsize=(8, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_facecolor("none")
    axes.set_title(title, color=scheme.ink, fontsize=12, loc="left")
    axes.tick_params(colors=scheme.ink, which="both")
    axes.xaxis.label.set_color(scheme.ink)
    axes.yaxis.label.set_color(scheme.ink)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(scheme.faint)
    return figure, axes


def save(figure: Figure, path: Path) -> None:
    with matplotlib.rc_context({"svg.hashsalt": "course", "svg.fonttype": "path"}):
        figure.savefig(path, format="svg", transparent=True, metadata={"Date": None})


def logarithmic(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def name_rows(axes: Axes, names: list[str], scheme: Scheme) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=scheme.faint, alpha=0.25)


def delays(results: dict[str, Any], scheme: Scheme) -> Figure:
    """Every client of every run is a dot; the line is the median."""
    apps = results["apps"]
    title = "How late each client knew that its task had ended"
    figure, axes = new_figure(title, 1.3 + 0.5 * len(apps), scheme)
    for row, (key, app) in enumerate(apps.items()):
        found = sorted(max(delay, 0.1) for run in app["runs"] for delay in run["delays_ms"])
        # Spread over the row's height, so that dots do not hide each other.
        heights = [row + 0.6 * ((index * 0.618) % 1 - 0.5) for index in range(len(found))]
        axes.plot(found, heights, ".", color=colour(key, scheme), alpha=0.5, markeredgewidth=0)
        if found:
            middle = app["figures"]["delay_p50"]["median"]
            axes.plot([middle, middle], [row - 0.4, row + 0.4], color=scheme.ink, linewidth=2)
            label = f"{middle:,.0f} ms" if middle >= 10 else f"{middle:.1f} ms"
            axes.annotate(
                label, (middle, row - 0.36), (4, 0), textcoords="offset points",
                color=scheme.ink, fontsize=9,
            )  # fmt: skip
    logarithmic(axes)
    name_rows(axes, [app["name"] for app in apps.values()], scheme)
    axes.set_xlabel("milliseconds after the end (logarithmic); the line is the median")
    return figure


def bars(key: str, title: str, unit: str) -> Callable[[dict[str, Any], Scheme], Figure]:
    """One bar an app: the median, with a line from the least to the most."""

    def draw(results: dict[str, Any], scheme: Scheme) -> Figure:
        apps = results["apps"]
        figure, axes = new_figure(title, 1.2 + 0.36 * len(apps), scheme)
        for row, (name, app) in enumerate(apps.items()):
            found = app["figures"][key]
            axes.barh(row, found["median"], height=0.62, color=colour(name, scheme))
            axes.plot([found["least"], found["most"]], [row, row], color=scheme.ink, linewidth=1)
            axes.annotate(
                f"{found['median']:.3g}", (max(found["most"], found["median"]), row), (5, 0),
                textcoords="offset points", va="center", color=scheme.ink, fontsize=9,
            )  # fmt: skip
        name_rows(axes, [app["name"] for app in apps.values()], scheme)
        axes.margins(x=0.1)
        axes.set_xlim(left=0)
        axes.set_xlabel(f"{unit}; the thin line goes from the least to the most")
        return figure

    return draw


PLOTS: dict[str, Callable[[dict[str, Any], Scheme], Figure]] = {
    "delay": delays,
    "requests": bars("requests", "HTTP requests a task", "requests"),
    "queries": bars(
        "queries", "Queries of the result backend a task, by the web process", "queries"
    ),
    "cpu": bars("web_cpu", "CPU time of the web process for 1,000 clients", "seconds"),
}


def write_plots(results: dict[str, Any], folder: Path) -> list[Path]:
    """Write each plot as NAME-light.svg and NAME-dark.svg, and return the files."""
    written = []
    for name, draw in PLOTS.items():
        for scheme in SCHEMES:
            path = folder / f"{name}-{scheme.name}.svg"
            save(draw(results, scheme), path)
            written.append(path)
    return written
