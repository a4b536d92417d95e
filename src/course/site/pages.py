"""The generated pages of the site: what changes, the notebooks, the print page.

They are written below docs/, where git ignores them, and only when they differ, so that the live
server does not build indefinitely. The Markdown of each page is plain: any builder can read it.
"""

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

from course.content.chapters import ROOT, Chapter, all_chapters
from course.content.diff import Change, changes
from course.site.notebooks import notebook_pages
from course.site.print import print_page

DOCS = ROOT / "docs"

Nav = list[Any]


def generate(nav: Nav) -> Nav:
    """Write every generated page; return the navigation without those that there are not."""
    pages: dict[str, str] = {}  # path below docs/: text
    for before, after in pairwise(all_chapters()):
        pages[f"changes/{before.number}-{after.number}.md"] = changes_page(before, after)
    pages |= notebook_pages(DOCS / "notebooks")
    for path, text in pages.items():
        write_if_changed(DOCS / path, text)
    remove_others({DOCS / path for path in pages})

    nav = without_missing(nav)
    write_if_changed(DOCS / "print.md", print_page(DOCS, files_in(nav)))
    return nav


def write_if_changed(file: Path, text: str) -> None:
    if not file.exists() or file.read_text() != text:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def remove_others(written: set[Path]) -> None:
    """Remove generated pages that are no longer generated: MkDocs would miss them in the menu."""
    for page in {*DOCS.glob("changes/*.md"), *DOCS.glob("notebooks/*.md")}:
        if page not in written:
            page.unlink(missing_ok=True)


def without_missing(nav: Nav) -> Nav:
    """The navigation without notebooks that do not exist, and without empty sections.

    All else that is missing stays in it, and fails the build.
    """
    result: Nav = []
    for entry in nav:
        for title, value in entry.items() if isinstance(entry, dict) else [("", entry)]:
            kept = without_missing(value) if isinstance(value, list) else value
            if kept and (isinstance(kept, list) or not is_missing(kept)):
                result.append({title: kept} if title else kept)
    return result


def is_missing(path: str) -> bool:
    return path.startswith("notebooks/") and not (DOCS / path).exists()


def files_in(nav: Nav) -> list[str]:
    """Every page in the navigation, in reading order."""
    found: list[str] = []
    for entry in nav:
        values = entry.values() if isinstance(entry, dict) else [entry]
        for value in values:
            found += files_in(value) if isinstance(value, list) else [str(value)]
    return found


def anchor(path: str) -> str:
    """The path as an anchor; Markdown would take a double underscore for bold."""
    return re.sub(r"(?:[^0-9A-Za-z_]|__)+", "-", path)


def changes_page(before: Chapter, after: Chapter) -> str:
    found = changes(before, after)
    lines = [
        f"# From chapter {int(before.number)} to chapter {int(after.number)}",
        "",
        f"Every file of `{after}` that is not, byte for byte, the one of `{before}`, and why.",
        f"In a terminal: `./course diff {before.number} {after.number}`.",
        f"The lesson: [{after}](../lessons/{after.number}.md).",
        "",
        "| what | file | why |",
        "|---|---|---|",
        *[f"| {c.kind} | [`{c.path}`](#{anchor(c.path)}) | {c.reason} |" for c in found],
        "",
    ]
    for change in found:
        heading = f"## `{change.path}` {{#{anchor(change.path)}}}"
        lines += [heading, "", *described(change, after), ""]
    return "\n".join(lines)


def described(change: Change, after: Chapter) -> list[str]:
    """One change: its kind and reason, and the diff, or the whole file if it is new."""
    said = f"{change.kind.capitalize()}: {change.reason}."
    if change.kind == "gone":
        return [said]
    if change.kind == "new":
        code = [f"{{{{ {after.number} {change.path} }}}}"]
    else:
        code = [f'``` {{ .diff title="{change.path}" }}', *change.lines, "```"]
    is_app = not change.path.startswith("tests/")
    fold = "???+" if is_app else "???"
    return [said, "", f'{fold} note "`{change.path}`"', "", *[f"    {line}" for line in code]]
