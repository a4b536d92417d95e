"""The sequence diagram as SVG: for export, for the site, and for a recorded run.

The live page draws by the same rules (static/wires.js): each event has its row, a row's distance
to the last one grows with the time between them, and a long wait is folded.
"""

from dataclasses import dataclass
from html import escape

from course.wires.event import HTTP, RESP, TCP, WEBSOCKET, Event
from course.wires.states import lane_order

ROW = 26.0  # pixels between two events of the same moment
PER_MS = 1.0  # pixels a millisecond, above that
FOLD_AFTER = 20.0  # milliseconds; a longer wait is folded
FOLD = 30.0  # pixels of a folded wait
HEAD = 56.0
RIGHT = 44.0
LETTER = 6.4  # pixels, about, of a letter in a label

TAGS = {HTTP: "HTTP", WEBSOCKET: "WS", RESP: "Redis", TCP: "TCP"}
DASHES = {HTTP: "", WEBSOCKET: "9 4", RESP: "3 3", TCP: "1 5"}
SCHEMES = {
    "light": {
        "back": "#ffffff",
        "text": "#1f2430",
        "faint": "#5f6673",
        "line": "#c3c8d1",
        HTTP: "#0b57d0",
        WEBSOCKET: "#7b1fa2",
        RESP: "#b3261e",
        TCP: "#5f6368",
    },
    "dark": {
        "back": "#14181f",
        "text": "#e6e8ee",
        "faint": "#a4abb8",
        "line": "#464d5a",
        HTTP: "#8ab4f8",
        WEBSOCKET: "#d7aefb",
        RESP: "#f28b82",
        TCP: "#b0b6bf",
    },
}


# Each row appears at its time; who wants no motion sees all of them at once.
PLAYS = (
    ".row{animation:appear .2s both}"
    "@keyframes appear{from{opacity:0}}"
    "@media(prefers-reduced-motion:reduce){.row{animation:none}}"
)


@dataclass(frozen=True)
class Row:
    event: Event
    y: float
    waited: float | None  # milliseconds of a folded wait above it


def duration(ms: float) -> str:
    if ms >= 1000:
        return f"{ms / 1000:.2f} s"
    return f"{ms:.0f} ms" if ms >= 10 else f"{ms:.1f} ms"


def lay_out(events: list[Event]) -> list[Row]:
    rows: list[Row] = []
    y, last = HEAD + ROW, None
    for event in events:
        waited = None
        if last is not None:
            gap = max(0.0, (event.time - last) / 1e6)
            waited = gap if gap > FOLD_AFTER else None
            y += ROW + (FOLD if waited is not None else gap * PER_MS)
        rows.append(Row(event, y, waited))
        last = event.time
    return rows


def alternative_text(events: list[Event]) -> str:
    """The diagram in words: what passed, in order."""
    start = events[0].time if events else 0
    return "; ".join(
        f"{duration((event.time - start) / 1e6)}: {event.sender} to {event.receiver}: "
        f"{TAGS[event.protocol]} {event.what}"
        for event in events
    )


def svg(
    events: list[Event],
    title: str = "What passes between the processes",
    scheme: str = "light",
    width: int = 860,
    names: list[str] | None = None,
    numbers: dict[int, str] | None = None,
    plays: bool = False,
) -> str:
    """The events as an SVG picture, with their description as its text alternative.

    `numbers` holds, by an event's id, what stands before its label. A picture that `plays` shows
    each event when its time has come, counted from the moment when the picture is shown.
    """
    colours = SCHEMES[scheme]
    ends = {name for event in events for name in (event.sender, event.receiver)}
    names = names or sorted(ends, key=lane_order)
    left = 76.0 if width >= 600 else 54.0
    step = (width - left - RIGHT) / max(1, len(names) - 1)
    x_of = {name: left + step * place for place, name in enumerate(names)}
    rows = lay_out(events)
    height = (rows[-1].y if rows else HEAD) + ROW
    start = events[0].time if events else 0
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height:.0f}" '
        f'viewBox="0 0 {width} {height:.0f}" role="img" aria-labelledby="title text" '
        'font-family="system-ui, sans-serif" font-size="12">',
        f'<title id="title">{escape(title)}</title>',
        f'<desc id="text">{escape(alternative_text(events))}</desc>',
        f"<style>{PLAYS}</style>" if plays else "",
        f'<rect width="100%" height="100%" fill="{colours["back"]}"/>',
    ]
    for name, x in x_of.items():
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="34" y2="{height - 8:.1f}" '
            f'stroke="{colours["line"]}"/>'
            f'<text x="{x:.1f}" y="24" text-anchor="middle" font-weight="600" '
            f'fill="{colours["text"]}">{escape(name)}</text>'
        )
    for row in rows:
        number = (numbers or {}).get(row.event.id, "")
        drawn = draw_row(row, x_of, width, start, colours, number)
        if plays:
            delay = (row.event.time - start) / 1e9
            drawn = [f'<g class="row" style="animation-delay:{delay:.2f}s">', *drawn, "</g>"]
        parts += drawn
    return "\n".join([*parts, "</svg>", ""])


def draw_row(
    row: Row,
    x_of: dict[str, float],
    width: int,
    start: int,
    colours: dict[str, str],
    number: str = "",
) -> list[str]:
    event, y = row.event, row.y
    parts = []
    if row.waited is not None:
        fold = y - ROW - FOLD / 2 + 6
        parts.append(
            f'<line x1="4" x2="{width - 4}" y1="{fold:.1f}" y2="{fold:.1f}" '
            f'stroke="{colours["faint"]}" stroke-dasharray="2 6"/>'
            f'<text x="{width / 2:.1f}" y="{fold + 4:.1f}" text-anchor="middle" '
            f'fill="{colours["faint"]}" stroke="{colours["back"]}" stroke-width="8" '
            f'paint-order="stroke">{duration(row.waited)} later</text>'
        )
    begin, end = x_of[event.sender], x_of[event.receiver]
    colour = colours[event.protocol]
    side = 7 if end < begin else -7
    dash = f' stroke-dasharray="{DASHES[event.protocol]}"' if DASHES[event.protocol] else ""
    anchor, x, label = place_label(event, min(begin, end), max(begin, end), width, number)
    tag, _, words = label.partition(" ")
    before = f'<tspan font-size="15">{number}</tspan> ' if number else ""
    parts.append(
        f'<text x="4" y="{y + 4:.1f}" fill="{colours["faint"]}" font-size="11">'
        f"{duration((event.time - start) / 1e6)}</text>"
        f'<g><line x1="{begin:.1f}" x2="{end:.1f}" y1="{y:.1f}" y2="{y:.1f}" '
        f'stroke="{colour}" stroke-width="1.6"{dash}/>'
        f'<path d="M{end:.1f} {y:.1f}l{side} -4v8z" fill="{colour}"/>'
        f'<text x="{x:.1f}" y="{y - 5:.1f}" text-anchor="{anchor}" fill="{colours["text"]}" '
        f'stroke="{colours["back"]}" stroke-width="4" paint-order="stroke">'
        f"{before}"
        f'<tspan font-weight="600" fill="{colour}">{escape(tag)}</tspan> {escape(words)}'
        "</text></g>"
    )
    return parts


def place_label(
    event: Event, left: float, right: float, width: int, number: str = ""
) -> tuple[str, float, str]:
    """Where a label has room: from the arrow's left end on, or up to its right end."""
    label = f"{TAGS[event.protocol]} {event.what}"
    taken = 4 if number else 0  # letters
    room_right, room_left = (width - left - 8) / LETTER - taken, (right - 60) / LETTER - taken
    if len(label) <= room_right or room_right >= room_left:
        anchor, x, room = "start", left + 6, int(room_right)
    else:
        anchor, x, room = "end", right - 6, int(room_left)
    return anchor, x, cut_in_the_middle(label, max(8, room))


def cut_in_the_middle(label: str, room: int) -> str:
    """What a command does stands at its beginning, and the state that it carries at its end."""
    if len(label) <= room:
        return label
    end = (room - 1) // 2
    return f"{label[: room - 1 - end]}…{label[-end:]}"
