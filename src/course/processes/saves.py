"""Saves of a project's source files, while it runs."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

from watchfiles import Change, DefaultFilter, watch

# A process may write files beside its code, such as a log: those restart nothing.
SOURCES = {".py", ".html", ".css", ".js", ".toml"}
NAMES = {"Procfile", ".env"}
QUIET = 300  # milliseconds without another save: an editor may write several files at once


class SourceFilter(DefaultFilter):
    """Source files and the Procfile; nothing of .venv, .git, __pycache__ and their like."""

    def __call__(self, change: Change, path: str) -> bool:
        file = Path(path)
        is_source = file.suffix in SOURCES or file.name in NAMES
        return is_source and super().__call__(change, path)


class Saves:
    """Collects, in a thread of its own, which files were saved: `take()` says which."""

    def __init__(self, project: Path, on_problem: Callable[[str], None]) -> None:
        self._project, self._on_problem = project, on_problem
        self._saved: set[str] = set()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join(2)

    def take(self) -> list[str]:
        """The files that were saved since the last call, relative to the project."""
        with self._lock:
            saved, self._saved = sorted(self._saved), set()
        return saved

    def _watch(self) -> None:
        saves = watch(
            self._project,
            watch_filter=SourceFilter(),
            stop_event=self._over,
            step=QUIET,
            rust_timeout=500,
        )
        try:
            for changes in saves:
                with self._lock:
                    self._saved |= {self._shown(path) for _, path in changes}
        except (OSError, RuntimeError) as error:  # watchfiles' own is a RuntimeError
            self._on_problem(f"Saves are not seen any more: {error}.")

    def _shown(self, path: str) -> str:
        return str(Path(path).relative_to(self._project))
