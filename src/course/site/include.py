"""A Markdown extension that puts a chapter's code on a page, by name, so that the two cannot drift.

    {{ 05 project/ws/views.py }}                 the whole file
    {{ 05 project/ws/views.py ws_task_status }}  one function, class or variable of it, or several
    {{ 04.2 project/ws/views.py ws_task_status }}  as it is after step 2 of chapter 4, and with the
                                                 imports that it needs
    {{ exercise 04 2 }}                          an exercise, with its hints and its solution
    {{ number results apps.05.web_cpu }}         a measured number: see numbers.py
    {{ recorded 01.2-requests }}                 what a run has shown: see recorded.py
    {{ wires 01 05 }}                            recorded sequence diagrams: see wires.py
    {{ questions 02 opening }}                   questions to answer: see questions.py

What is new since the chapter before, or the step before, is highlighted. A name or file that is not
there is an error.
"""

import ast
import difflib
import re
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from markdown import Extension, Markdown
from markdown.preprocessors import Preprocessor

from course.content.steps import State, Step, app_of, find_state, state_before
from course.site.exercises import with_exercises
from course.site.numbers import with_numbers
from course.site.questions import with_questions
from course.site.recorded import with_recordings
from course.site.wires import with_wires

INCLUDE = re.compile(
    r"^(?P<indent> *)\{\{ (?P<state>\d\d(?:\.\d)?) (?P<path>\S+)(?P<names>(?: \S+)*) \}\}$"
)
SCRIPT_IMPORT = re.compile(r"^import .*?;$", re.MULTILINE | re.DOTALL)
LANGUAGES = {".py": "python", ".js": "javascript", ".html": "html", ".txt": "text", "": "text"}


# A page includes many files of a few states. Cleared for each page: the live server sees changes.
files_in = cache(app_of)


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


def imports_for(source: str, wanted: range) -> list[int]:
    """The lines, from 1, of the imports whose names the wanted lines use."""
    tree, used = ast.parse(source), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.lineno in wanted:
            used.add(node.id)
        annotation = getattr(node, "annotation", None)
        if isinstance(annotation, ast.Constant) and annotation.lineno in wanted:  # "Task[Any, Any]"
            used |= set(re.findall(r"\w+", str(annotation.value)))
    found: list[int] = []
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
            if names & used:
                found += range(node.lineno, (node.end_lineno or node.lineno) + 1)
    return found


def script_imports_for(source: str, wanted: range) -> list[int]:
    """The same for a JavaScript file."""
    text = "\n".join(source.splitlines()[wanted.start - 1 : wanted.stop - 1])
    used = set(re.findall(r"\w+", text))
    found: list[int] = []
    for match in SCRIPT_IMPORT.finditer(source):
        if set(re.findall(r"\w+", match[0].partition("from")[0])[1:]) & used:
            first = source[: match.start()].count("\n") + 1
            found += range(first, first + match[0].count("\n") + 1)
    return found


def new_lines(state: State, path: str, source: str) -> set[int]:
    """The lines, from 1, that the state before does not have; none if the file is all new."""
    before = state_before(state)
    old_file = files_in(before).get(path) if before else None
    if not old_file:
        return set()
    old = old_file.read_text().splitlines()
    matcher = difflib.SequenceMatcher(None, old, source.splitlines(), autojunk=False)
    changed = [code for code in matcher.get_opcodes() if code[0] in ("replace", "insert")]
    return {line for _, _, _, first, last in changed for line in range(first + 1, last + 1)}


def code_block(state: State, path: str, names: list[str]) -> list[str]:
    """The lines of a fenced block with this code. Raises NotThere."""
    file = file_of(state, path)
    source = file.read_text()
    all_lines = source.splitlines()
    find, find_imports = (
        (lines_of, imports_for) if file.suffix == ".py" else (script_lines_of, script_imports_for)
    )
    spans = [find(source, name) for name in names] or [(1, len(all_lines))]
    parts = [range(first, last + 1) for first, last in sorted(spans)]
    if names and isinstance(state, Step):
        imports = sorted({line for part in parts for line in find_imports(source, part)})
        parts = [*as_ranges(imports), *parts]

    new = new_lines(state, path, source)
    code: list[str] = []
    marked: list[int] = []
    for number, part in enumerate(parts):
        if number:
            code += space_between(parts[number - 1], part, all_lines)
        for line in part:
            code.append(all_lines[line - 1])
            if line in new and all_lines[line - 1].strip():
                marked.append(len(code))

    where = path if isinstance(state, Step) else f"chapters/{state}/{path}"
    options = f'title="{where}"'
    if len(parts) == 1:
        options += f' linenums="{parts[0].start}"'
    if 0 < len(marked) < len([line for line in code if line.strip()]):
        options += f' hl_lines="{" ".join(map(str, marked))}"'
    if isinstance(state, Step):  # for the test that builds each chapter from its page
        options += f' data-state="{state}" data-file="{path}" data-names="{" ".join(names)}"'
    fence = "````" if any("```" in line for line in code) else "```"
    return [f"{fence} {{ .{LANGUAGES.get(file.suffix, 'text')} {options} }}", *code, fence]


def file_of(state: State, path: str) -> Path:
    """The file at this place in that state: of a chapter any file, of a step one of its app."""
    found = files_in(state).get(path) if isinstance(state, Step) else state.folder / path
    if not found or not found.is_file():
        raise NotThere(f"{state} has no file {path}")
    return found


def as_ranges(lines: list[int]) -> list[range]:
    """Lines that follow one another, as ranges."""
    found: list[range] = []
    for line in lines:
        if found and found[-1].stop == line:
            found[-1] = range(found[-1].start, line + 1)
        else:
            found.append(range(line, line + 1))
    return found


def space_between(one: range, other: range, lines: list[str]) -> list[str]:
    """The empty lines between two parts of a file: as many as there are above the second."""
    first = other.start - 1
    while first > one.stop - 1 and not lines[first - 1].strip():
        first -= 1
    return [""] * (other.start - 1 - first)


def expand(lines: list[str]) -> list[str]:
    """Replace each include by what it names."""
    files_in.cache_clear()
    result = []
    for line in map(
        with_numbers, with_wires(with_questions(with_recordings(with_exercises(lines))))
    ):
        if match := INCLUDE.match(line):
            block = code_block(find_state(match["state"]), match["path"], match["names"].split())
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
