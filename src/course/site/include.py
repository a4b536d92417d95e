"""A Markdown extension that puts a chapter's code on a page, by name, so that the two cannot drift.

    {{ 05 project/ws/views.py }}                 the whole file
    {{ 05 project/ws/views.py send_news }}       one function, class or variable of it
    {{ exercise 04 2 }}                          an exercise, with its hints and its solution
    {{ number results apps.05.web_cpu }}         a measured number: see figures.py

What is new since the chapter before is highlighted. A name or file that is not there is an error.
"""

import ast
import difflib
import re
from html import escape
from typing import Any

from markdown import Extension, Markdown
from markdown.preprocessors import Preprocessor

from course.content.chapters import all_chapters, find_chapter
from course.site.numbers import with_numbers
from course.site.exercises import with_exercises

INCLUDE = re.compile(r"^(?P<indent> *)\{\{ (?P<number>\d\d) (?P<path>\S+)(?: (?P<name>\S+))? \}\}$")
LANGUAGES = {".py": "python", ".js": "javascript", ".html": "html", ".txt": "text", "": "text"}


class NotThere(ValueError):
    """A page includes what no chapter has."""


def lines_of(source: str, name: str) -> tuple[int, int]:
    """First and last line, from 1, of what has this name at the top level of the source.

    Decorators belong to it, and so does a comment right above. Raises NotThere.
    """
    for node in ast.parse(source).body:
        if name in names_of(node):
            above = [item.lineno for item in getattr(node, "decorator_list", [])]
            first, last = min([node.lineno, *above]), node.end_lineno or node.lineno
            lines = source.splitlines()
            while first > 1 and lines[first - 2].startswith("#"):
                first -= 1
            return first, last
    raise NotThere(f"there is no {name!r}")


def names_of(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def script_lines_of(source: str, name: str) -> tuple[int, int]:
    """The same for a top-level function of a JavaScript file."""
    lines = source.splitlines()
    for first, line in enumerate(lines, start=1):
        if re.match(rf"(export )?(async )?function {re.escape(name)}\(", line):
            return first, lines.index("}", first) + 1
    raise NotThere(f"there is no function {name!r}")


def new_lines(number: str, path: str, source: str) -> set[int]:
    """The lines, from 1, that the chapter before does not have; none if the file is all new."""
    chapters = all_chapters()
    before = chapters[chapters.index(find_chapter(number)) - 1] if number != "01" else None
    if not before or not (before.folder / path).exists():
        return set()
    old = (before.folder / path).read_text().splitlines()
    matcher = difflib.SequenceMatcher(None, old, source.splitlines(), autojunk=False)
    changed = [code for code in matcher.get_opcodes() if code[0] in ("replace", "insert")]
    return {line for _, _, _, first, last in changed for line in range(first + 1, last + 1)}


def code_block(number: str, path: str, name: str | None) -> list[str]:
    """The lines of a fenced block with this code. Raises NotThere or UnknownChapter."""
    chapter = find_chapter(number)
    file = chapter.folder / path
    if not file.is_file():
        raise NotThere(f"{chapter} has no file {path}")
    source = file.read_text()
    find = lines_of if file.suffix == ".py" else script_lines_of
    first, last = find(source, name) if name else (1, len(source.splitlines()))
    code = source.splitlines()[first - 1 : last]

    new = [line - first + 1 for line in sorted(new_lines(number, path, source)) if line >= first]
    new = [line for line in new if line <= len(code) and code[line - 1].strip()]
    options = f'title="chapters/{chapter}/{path}" linenums="{first}"'
    if 0 < len(new) < len([line for line in code if line.strip()]):
        options += f' hl_lines="{" ".join(map(str, new))}"'
    fence = "````" if any("```" in line for line in code) else "```"
    return [f"{fence} {{ .{LANGUAGES.get(file.suffix, 'text')} {options} }}", *code, fence]


def expand(lines: list[str]) -> list[str]:
    """Replace each include by what it names."""
    result = []
    for line in map(with_numbers, with_exercises(lines)):
        if match := INCLUDE.match(line):
            block = code_block(match["number"], match["path"], match["name"])
            result += [match["indent"] + code if code else "" for code in block]
        elif line.strip().startswith("{{"):
            raise NotThere(f"this includes nothing: {line.strip()}")
        else:
            result.append(line)
    return result


class IncludePreprocessor(Preprocessor):  # type: ignore[misc]
    def run(self, lines: list[str]) -> list[str]:
        return expand(lines)


class IncludeExtension(Extension):  # type: ignore[misc]
    def extendMarkdown(self, md: Markdown) -> None:
        # Before superfences (25), which takes the code blocks out.
        md.preprocessors.register(IncludePreprocessor(md), "course-include", 40)


def diagram(source: str, *arguments: Any, **options: Any) -> str:
    """A mermaid block, in a frame that scrolls sideways where the page is narrow."""
    block = f'<pre class="mermaid"><code>{escape(source, quote=False)}</code></pre>'
    return f'<div class="diagram" tabindex="0" role="group" aria-label="Diagram">{block}</div>'


def makeExtension(**options: Any) -> IncludeExtension:
    return IncludeExtension(**options)
