"""The notebooks as pages: executed, once for each content, and rendered to plain Markdown."""

import base64
import hashlib
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from course.content.chapters import ROOT

NOTEBOOKS = ROOT / "notebooks"
# The tests have a cache of their own: what a notebook measures beside them is not for readers.
CACHE = Path(os.environ.get("COURSE_NOTEBOOK_CACHE", ROOT / ".cache" / "notebooks"))
HELPER = Path(__file__).with_name("notebook.py")  # what the notebooks draw with
LIMIT = 120  # seconds for one cell


def notebook_pages(folder: Path) -> dict[str, str]:
    """Markdown of each notebook by its path below docs/; pictures and downloads go to `folder`."""
    files = sorted(NOTEBOOKS.glob("[0-9]*.ipynb"))
    return {f"notebooks/{file.stem}.md": page(file, folder) for file in files}


def page(file: Path, folder: Path) -> str:
    copy_if_changed(file, folder / file.name)
    notebook = executed(file)
    parts = []
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            parts.append(cell.source)
        elif cell.cell_type == "code" and cell.source.strip():
            parts.append(fenced("python", cell.source))
            for index, output in enumerate(cell.outputs):
                parts.append(rendered(output, folder, f"{file.stem}-{number}-{index}.png"))
    first, *rest = parts
    download = (
        f"[Download this notebook]({file.name}){{ .md-button download={file.name} }}\n\n"
        "To run and change it: `./course lab`. Below are the outputs of a run without changes."
    )
    title, _, more = first.partition("\n")
    return "\n\n".join([title, download, more, *rest]) + "\n"


def executed(file: Path) -> Any:
    """The notebook with its outputs, from the cache if nothing it depends on has changed."""
    import nbformat

    helper = HELPER.read_bytes() if HELPER.exists() else b""
    content = file.read_bytes() + helper + sys.version.encode()
    cached = CACHE / f"{file.stem}-{hashlib.sha256(content).hexdigest()[:16]}.ipynb"
    if not cached.exists():
        from nbclient import NotebookClient

        print(f"Executing {file.name}", file=sys.stderr)
        notebook = nbformat.read(file, as_version=4)  # type: ignore[no-untyped-call]
        where = {"metadata": {"path": str(NOTEBOOKS)}}
        NotebookClient(notebook, timeout=LIMIT, kernel_name="python3", resources=where).execute()
        CACHE.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, cached)  # type: ignore[no-untyped-call]
    return nbformat.read(cached, as_version=4)  # type: ignore[no-untyped-call]


def rendered(output: Any, folder: Path, picture: str) -> str:
    if output.output_type == "stream":
        return fenced("text", output.text)
    if output.output_type == "error":
        return fenced("text", f"{output.ename}: {output.evalue}")
    text = output.data.get("text/plain", "")
    if "image/png" not in output.data:
        return fenced("text", text)
    file = folder / picture
    data = base64.b64decode(output.data["image/png"])
    if not file.exists() or file.read_bytes() != data:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    said = output.metadata.get("image/png", {})
    alt = said.get("alt") or text.partition("\n")[0] or "What the cell above has drawn"
    width = f"{{ width={said['width']} }}" if "width" in said else ""
    return f"![{alt.replace('[', '(').replace(']', ')')}]({picture}){width}"


def fenced(language: str, text: str) -> str:
    fence = "````" if "```" in text else "```"
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def copy_if_changed(source: Path, target: Path) -> None:
    if not target.exists() or target.read_bytes() != source.read_bytes():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
