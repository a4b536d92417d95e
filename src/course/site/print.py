"""The whole course on one page, to print: every page one after another, its links kept inside."""

import posixpath
import re
from pathlib import Path

from markdown.extensions.toc import slugify, unique

from course.site.exercises import with_exercises

FENCE = re.compile(r"^\s*(`{3,}|~{3,})")
HEADING = re.compile(r"^(#{1,5}) (.+?)(?: \{#([\w-]+)\})?$")
LINK = re.compile(r"\]\(([^)\s]+)\)")
FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)

INTRODUCTION = """---
hide:
  - navigation
  - toc
search:
  exclude: true
---

# The whole course, to print

Everything on one page, with hints, solutions and answers unfolded. Print it, or save it as PDF,
with your browser's own command.
"""


def print_page(docs: Path, pages: list[str]) -> str:
    pages = [page for page in pages if page != "print.md"]
    return "\n".join([INTRODUCTION, *[merged(docs, page, pages) for page in pages]])


def merged(docs: Path, page: str, pages: list[str]) -> str:
    """A page's Markdown, its headings one level down and its anchors in a name space of its own."""
    text = FRONT_MATTER.sub("", (docs / page).read_text())
    ids: set[str] = set()
    lines = []
    fence = ""
    for line in with_exercises(text.splitlines()):
        if match := FENCE.match(line):
            if not fence:
                fence = match[1]
            elif match[1].startswith(fence):
                fence = ""
        elif not fence:
            line = with_links(with_anchor(line, page, ids), page, pages)
            line = re.sub(r"^(\s*)\?\?\? ", r"\1???+ ", line)
        lines.append(line)
    return "\n".join([f'<div class="print-page" id="{name_of(page)}"></div>', "", *lines, ""])


def name_of(page: str) -> str:
    return "print-" + re.sub(r"\W+", "-", page.removesuffix(".md"))


def with_anchor(line: str, page: str, ids: set[str]) -> str:
    match = HEADING.match(line)
    if not match:
        return line
    plain = re.sub(r"[`*]", "", match[2])
    anchor = match[3] or unique(slugify(plain, "-"), ids)
    return f"#{match[1]} {match[2]} {{#{name_of(page)}--{anchor}}}"


def with_links(line: str, page: str, pages: list[str]) -> str:
    def inside(match: re.Match[str]) -> str:
        target, _, anchor = match[1].partition("#")
        if "://" in target or target.startswith("mailto:"):
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
        if not target or path in pages:
            name = name_of(path if target else page)
            return f"](#{name}--{anchor})" if anchor else f"](#{name})"
        return f"]({path}{'#' + anchor if anchor else ''})"

    return LINK.sub(inside, line)
