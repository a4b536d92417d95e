"""The generated pages of the site: what changes, the notebooks, the numbers, the print page.

They are written below docs/, where git ignores them, and only when they differ, so that the live
server does not build for ever. The Markdown of each page is plain: any builder can read it.
"""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

from course.chapters import ROOT, Chapter, all_chapters
from course.diff import Change, changes
from course.site_notebooks import notebook_pages
from course.site_print import print_page

DOCS = ROOT / "docs"
RESULTS = ROOT / "results.json"  # what a recorded bench has written, if there is one

Nav = list[Any]


def generate(nav: Nav) -> Nav:
    """Write every generated page; return the navigation with those that exist."""
    pages: list[tuple[str, str, str]] = []  # section, path below docs/, text
    for before, after in pairwise(all_chapters()):
        path = f"changes/{before.number}-{after.number}.md"
        pages.append(("What changes", path, changes_page(before, after)))
    pages += [("Notebooks", path, text) for path, text in notebook_pages(DOCS / "notebooks")]
    if RESULTS.exists():
        pages.append(("Numbers", "numbers.md", numbers_page(json.loads(RESULTS.read_text()))))
    for _, path, text in pages:
        write_if_changed(DOCS / path, text)
    remove_others({DOCS / path for _, path, _ in pages})

    nav = with_sections(nav, pages)
    write_if_changed(DOCS / "print.md", print_page(DOCS, files_in(nav)))
    return nav


def write_if_changed(file: Path, text: str) -> None:
    if not file.exists() or file.read_text() != text:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def remove_others(written: set[Path]) -> None:
    """Remove generated pages that are no longer generated: MkDocs would miss them in the menu."""
    for page in {*DOCS.glob("changes/*.md"), *DOCS.glob("notebooks/*.md"), DOCS / "numbers.md"}:
        if page not in written:
            page.unlink(missing_ok=True)


def with_sections(nav: Nav, pages: list[tuple[str, str, str]]) -> Nav:
    """Put generated pages where the navigation has an empty section of that name, or drop it."""
    result: Nav = []
    for entry in nav:
        title = next(iter(entry)) if isinstance(entry, dict) else ""
        if title and entry[title] == []:
            paths = [path for section, path, _ in pages if section == title]
            if paths:
                result.append({title: paths})
        else:
            result.append(entry)
    return result


def files_in(nav: Nav) -> list[str]:
    """Every page in the navigation, in reading order."""
    found: list[str] = []
    for entry in nav:
        values = entry.values() if isinstance(entry, dict) else [entry]
        for value in values:
            found += files_in(value) if isinstance(value, list) else [str(value)]
    return found


def anchor(path: str) -> str:
    return "".join(letter if letter.isalnum() or letter == "_" else "-" for letter in path)


def changes_page(before: Chapter, after: Chapter) -> str:
    found = changes(before, after)
    lines = [
        f"# From chapter {int(before.number)} to chapter {int(after.number)}",
        "",
        f"Every file of `{after}` that is not, byte for byte, the one of `{before}`, and why.",
        f"In a terminal: `./course diff {before.number} {after.number}`.",
        f"The lesson: [{after}](../lessons/{after.number}.md).",
        "",
        "| | file | why |",
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
    return [said, "", f'{fold} note "{change.path}"', "", *[f"    {line}" for line in code]]


def numbers_page(results: dict[str, Any]) -> str:
    """A table of what a recorded bench has measured."""
    rows = results.get("chapters", [])
    columns = list(rows[0]) if rows else []
    return "\n".join(
        [
            "# The numbers",
            "",
            f"Measured by `./course bench` on {results.get('machine', 'an unknown machine')}.",
            "",
            f"| {' | '.join(columns)} |",
            f"|{'---|' * len(columns)}",
            *[f"| {' | '.join(str(row[column]) for column in columns)} |" for row in rows],
            "",
        ]
    )
