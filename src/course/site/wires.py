"""The recorded sequence diagrams: JSON, and SVG for light and dark pages, wide and narrow.

{{ wires 05 }}          the run of chapter 5, as wide as the page
{{ wires 01 05 }}       two runs beside each other, the essential alone, played in real time
"""

import difflib
import json
import re
from pathlib import Path

from course.content.chapters import ROOT
from course.wires.diagram import SCHEMES, svg
from course.wires.event import BROWSER, Event, from_json


class NoRecordedRun(ValueError):
    """There is no recording of what passes between that chapter's processes."""


PICTURES = ROOT / "docs" / "recorded" / "wires"
PHONE = 390  # pixels; also the width of each of two beside each other
DIRECTIVE = re.compile(r"\{\{ wires (?P<one>\S+)(?: (?P<other>\S+))? \}\}")
# The six steps of the finished design, as the home page counts them, and the events of each.
FLOW = {
    "①": r"POST /subscriptions|LPUSH ",
    "②": r"202",
    "③": r"GET /ws/.*\(upgrade\)",
    "④": r"SUBSCRIBE ",
    "⑤": r"PUBLISH .* SUCCESS|message on .*SUCCESS|frame SUCCESS",
}


def write_pictures(events: list[Event], name: str) -> list[Path]:
    """Write NAME.json and, for each scheme, the pictures. Times count from the first event."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    start = events[0].time if events else 0
    fields = [event.as_json() | {"time": event.time - start} for event in events]
    file = PICTURES / f"{name}.json"
    file.write_text(json.dumps(fields, indent=1, ensure_ascii=False) + "\n")
    return [file, *draw(name)]


def draw(name: str) -> list[Path]:
    """Draw the run that NAME.json holds."""
    events = recorded_events(name)
    title = f"What passes between the processes: {name}"
    numbers = numbers_of_the_flow(events) if name == "05" else {}
    written = []
    for scheme in SCHEMES:
        for kind, picture in {
            "": svg(events, title, scheme, numbers=numbers),
            "phone-": svg(events, title, scheme, PHONE, numbers=numbers),
            "short-": svg(essential(events), title, scheme, PHONE, numbers=numbers, plays=True),
        }.items():
            file = PICTURES / f"{name}-{kind}{scheme}.svg"
            file.write_text(picture)
            written.append(file)
    return written


def recorded_events(name: str) -> list[Event]:
    """The events of a recorded run."""
    return [from_json(fields) for fields in json.loads((PICTURES / f"{name}.json").read_text())]


def beside(before: str, after: str) -> list[tuple[str, str]]:
    """The events of two chapters' recorded runs, "" where one has no counterpart of the other's.

    Raises NoRecordedRun.
    """
    runs = [[in_words(event) for event in run_of(chapter)] for chapter in (before, after)]
    without_times = [[words.partition("  ")[2] for words in run] for run in runs]
    rows: list[tuple[str, str]] = []
    matcher = difflib.SequenceMatcher(None, without_times[0], without_times[1], autojunk=False)
    for kind, first, last, other_first, other_last in matcher.get_opcodes():
        left, right = runs[0][first:last], runs[1][other_first:other_last]
        if kind == "equal":
            rows += zip(left, right, strict=True)
        else:
            rows += [(words, "") for words in left] + [("", words) for words in right]
    return rows


def run_of(chapter: str) -> list[Event]:
    number = chapter.partition("-")[0]
    if not (PICTURES / f"{number}.json").exists():
        names = ", ".join(sorted(path.stem for path in PICTURES.glob("*.json")))
        raise NoRecordedRun(f"There is no recorded run of {chapter}: there is one of {names}.")
    return recorded_events(number)


def in_words(event: Event) -> str:
    what = event.what.replace(event.task_id[:4], "id") if event.task_id else event.what
    return f"{event.time / 1e9:5.2f} s  {event.sender} → {event.receiver}: {what}"


def essential(events: list[Event]) -> list[Event]:
    """What the browser sends and gets, the task's end, and the message that says so."""
    return [
        event
        for event in events
        if BROWSER in (event.sender, event.receiver)
        or re.match(r"SETEX .* SUCCESS|PUBLISH .* SUCCESS|message on .*SUCCESS", event.what)
    ]


def numbers_of_the_flow(events: list[Event]) -> dict[int, str]:
    """Which of the six steps each event belongs to, by its id; the last is the browser's close."""
    found = {
        event.id: number
        for event in events
        for number, pattern in FLOW.items()
        if re.match(pattern, event.what)
    }
    closes = [event for event in events if event.sender == BROWSER and "close" in event.what]
    return found | {event.id: "⑥" for event in closes}


def with_wires(lines: list[str]) -> list[str]:
    """The lines, with pictures for those that ask for them. The page lies in docs/ itself."""
    return [shown for line in lines for shown in pictures_for(line)]


def pictures_for(line: str) -> list[str]:
    match = DIRECTIVE.fullmatch(line)
    if not match:
        return [line]
    if not match["other"]:
        return [
            *pictures_of(match["one"], "", ".wide"),
            *pictures_of(match["one"], "phone-", ".narrow"),
        ]
    beside = ['<div class="beside" markdown>']
    for name in (match["one"], match["other"]):
        beside += ["<figure markdown>", "", *pictures_of(name, "short-", ".short"), ""]
        beside += [f"<figcaption>Chapter {int(name)}</figcaption>", "</figure>"]
    return [*beside, "</div>"]


def pictures_of(name: str, kind: str, style: str) -> list[str]:
    """One run, for light and for dark pages. The page "Reading the wires" has it as text."""
    alternative = f"Chapter {int(name)}: what passes between the processes"
    return [
        f"![{alternative}](recorded/wires/{name}-{kind}{scheme}.svg#only-{scheme})"
        f"{{ {style} loading=lazy }}"
        for scheme in SCHEMES
    ]
