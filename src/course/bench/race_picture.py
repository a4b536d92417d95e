"""The race as an SVG picture, for a light and for a dark page."""

from pathlib import Path

from matplotlib.figure import Figure

from course.bench.lanes import Lane
from course.bench.plots import DARK, LIGHT, Scheme, colour, name_rows, new_figure, save


def picture(lanes: list[Lane], until: float, scheme: Scheme) -> Figure:
    figure, axes = new_figure(
        "One task: when each chapter's client knows that it is done",
        1.3 + 0.55 * len(lanes),
        scheme,
    )
    for row, lane in enumerate(lanes):
        tint = colour(lane.key, scheme)
        last = lane.knew or until
        for begin, end in lane.spans("request", "answer", last):
            axes.plot([begin, end], [row, row], color=tint, linewidth=2)
        for begin, end in lane.spans("open", "close", last):
            axes.plot([begin, end], [row, row], color=tint, linewidth=4, alpha=0.5)
        for kinds, marker in (
            (("request", "handshake"), "^"),
            (("answer",), "v"),
            (("frame",), "o"),
        ):
            moments = [event.at for event in lane.events if event.kind in kinds]
            axes.plot(moments, [row] * len(moments), marker, color=tint, markersize=6)
        if lane.ended is not None:
            axes.plot([lane.ended] * 2, [row - 0.38, row + 0.38], color=scheme.ink, linewidth=2)
        if lane.knew is not None and lane.late_ms is not None:
            axes.annotate(
                f"known {lane.late_ms:,.0f} ms after the end", (lane.knew, row), (10, 0),
                textcoords="offset points", color=scheme.ink, fontsize=9, va="center",
            )  # fmt: skip
    name_rows(axes, [lane.name for lane in lanes], scheme)
    axes.set_xlim(-0.1, until * 1.3)  # room for the last one's words
    axes.set_xlabel(
        "seconds;  ▲ request   ▼ answer   ● frame   thick: socket open   | the task ends"
    )
    return figure


def write_pictures(lanes: list[Lane], until: float, path: Path) -> list[Path]:
    """Write FILE.svg for light pages and FILE-dark.svg for dark ones. Raises OSError."""
    dark = path.with_name(f"{path.stem}-dark{path.suffix}")
    save(picture(lanes, until, LIGHT), path)
    save(picture(lanes, until, DARK), dark)
    return [path, dark]
