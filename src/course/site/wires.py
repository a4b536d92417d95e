"""The recorded sequence diagrams: JSON, and SVG for light and dark pages."""

import json
from pathlib import Path

from course.content.chapters import ROOT
from course.wires.diagram import SCHEMES, svg
from course.wires.event import Event

PICTURES = ROOT / "docs" / "recorded" / "wires"


def write_pictures(events: list[Event], name: str) -> list[Path]:
    """Write NAME.json and, for each scheme, NAME-SCHEME.svg. Times count from the first event."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    start = events[0].time if events else 0
    fields = [event.as_json() | {"time": event.time - start} for event in events]
    written = [PICTURES / f"{name}.json"]
    written[0].write_text(json.dumps(fields, indent=1, ensure_ascii=False) + "\n")
    for scheme in SCHEMES:
        file = PICTURES / f"{name}-{scheme}.svg"
        file.write_text(svg(events, f"What passes between the processes: {name}", scheme))
        written.append(file)
    return written
