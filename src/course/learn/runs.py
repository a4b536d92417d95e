"""Runs the student's work: `./course run work` in a thread, its log and its addresses as state."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from course.learn.state import RUNNING, STARTING, STOPPED, STOPPING, Store
from course.processes import ProjectProblem, RedisProblem, free_port, is_free
from course.processes.interrupts import Ended
from course.processes.run import Options, Runner, Wires
from course.wires import Tap
from course.wires.page import Page

STOP_LIMIT = 20.0  # seconds
COURSE = "course"  # the name of what the run itself says


class Runs:
    """One run at a time. `look()` is to be called often, in one thread."""

    def __init__(self, project: Path, store: Store, web_port: int, newsletter_port: int) -> None:
        self._project, self._store = project, store
        self._ports = web_port, newsletter_port
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._ended = Ended()
        self._runner: Runner | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
        if self._thread:
            self._thread.join(STOP_LIMIT)

    def start(self) -> None:
        """Start the processes, unless they run."""
        with self._lock:
            if self._thread and self._thread.is_alive():
                return
            self._ended = Ended()
            self._thread = threading.Thread(target=self._run, args=(self._ended,), daemon=True)
            self._store.change_run(state=STARTING, problem="", page="", wires="", processes={})
            self._thread.start()

    def stop(self) -> None:
        """Ask the processes to end. `look()` says when they have."""
        with self._lock:
            if self._thread and self._thread.is_alive():
                self._store.change_run(state=STOPPING)
                self._ended.number = signal.SIGTERM

    def look(self) -> None:
        """Bring the state up to date."""
        with self._lock:
            runner, run = self._runner, self._store.state.run
            if not runner or run.state == STOPPING:
                return
            answers = runner.page_answers
            is_back = answers and not run.page_answers
            self._store.change_run(
                state=RUNNING if answers or run.state == RUNNING else STARTING,
                page=runner.page_url,
                page_answers=answers,
                starts=run.starts + is_back,
                processes=runner.exit_codes(),
            )

    # The thread of a run.

    def _run(self, ended: Ended) -> None:
        # The lessons name these ports. Another program, or `./course run`, may hold them.
        web_port, newsletter_port = (port if is_free(port) else free_port() for port in self._ports)
        options = Options(
            web_port, newsletter_port, opens_page=False, watches=True, new_wires=self._wires
        )
        problem = ""
        try:
            self._runner = Runner(self._project, options, self, ended)
            self._runner.run()
        except (ProjectProblem, RedisProblem, OSError) as found:
            problem = str(found)
        finally:
            with self._lock:
                self._runner = None
                self._store.change_run(
                    state=STOPPED,
                    problem=problem,
                    page_answers=False,
                    wires="",
                    redis="",
                    processes={},
                )

    @contextmanager
    def _wires(
        self, redis_url: str, newsletter_url: str, show: Callable[[str], None]
    ) -> Iterator[tuple[Wires, str]]:
        with Tap(redis_url, newsletter_url) as tap:
            url = Page(tap).url
            self._store.change_run(wires=url, redis=redis_url)
            yield tap, f"The wires are at {url}"

    # The log of the run: see course.processes.run.Log.

    def line(self, name: str, text: str) -> None:
        self._store.add_line(name, text)

    def say(self, text: str) -> None:
        self._store.add_line(COURSE, text)
