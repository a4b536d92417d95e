"""`./course run`: a project's processes under one log.

They run until Ctrl-C. A chapter's run also ends when one of its processes does. Work in progress is
watched instead: each save of a file restarts it, and a process that has ended waits for that.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from honcho.colour import get_colours
from honcho.printer import Message, Printer

from course.processes.guard import Guard
from course.processes.interrupts import Ended, signals_as_flag
from course.processes.ports import HOST, answers, free_port, is_free, port_problem
from course.processes.process import Process, project_environment, stop_all
from course.processes.procfile import ProjectProblem, read_procfile
from course.processes.redis import Redis, redis_server
from course.processes.saves import Saves
from course.processes.tracebacks import last_error, own_line, traceback_in
from course.processes.web_page import open_page

NEWSLETTER = "newsletter"  # the name of the third party in a Procfile
LAST_LINES = 60  # of a process that has ended, for its traceback
SHOWN_LINES = 12  # of them, if it has none
PAUSE = 0.1  # seconds between two rounds of the main loop
WORD_EVERY = 2.0  # seconds between two lines that say that the start takes time


class Wires(Protocol):
    """Addresses that lead through proxies, which show what passes: course.wires.Tap has them."""

    def redis_url_for(self, process: str) -> str: ...

    def newsletter_url_for(self, process: str) -> str: ...

    def web_port_for(self, real_port: int, process: str = "web", port: int = 0) -> int: ...


# From the addresses of Redis and of the newsletter service, and what prints a line, to the wires
# and a sentence that says where they are shown.
NewWires = Callable[[str, str, Callable[[str], None]], AbstractContextManager[tuple[Wires, str]]]


@dataclass(frozen=True)
class Options:
    web_port: int = 8010
    newsletter_port: int = 8011
    opens_page: bool = True
    watches: bool = False  # restart on each save
    new_wires: NewWires | None = None  # what passes between the processes is shown
    made_folder: Path | None = None  # for this run; to be removed even if this process is killed


class Log(Protocol):
    """Where the lines of the processes go, and what the run itself says."""

    def line(self, name: str, text: str) -> None: ...

    def say(self, text: str) -> None: ...


class RunningLog:
    """One log for all processes: a time, a name and a colour in front of each line."""

    def __init__(self) -> None:
        self._printer = Printer(
            sys.stdout, width=len(NEWSLETTER), colour=not os.environ.get("NO_COLOR")
        )
        self._colours = get_colours()
        self._colour_of: dict[str, str] = {}
        self._lock = threading.Lock()

    def line(self, name: str, text: str) -> None:
        with self._lock:
            if name not in self._colour_of:
                self._colour_of[name] = next(self._colours)
            message = Message("line", text, datetime.now(), name, self._colour_of[name])
            try:
                self._printer.write(message)
            except OSError:
                # `| tee` has ended by the same Ctrl-C, or the terminal was closed: nobody reads
                # the log any more, and there is still work to do.
                self._close()

    def say(self, text: str) -> None:
        self.line("course", text or " ")

    def _close(self) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


class Page:
    """The project's page: whether it answers yet, and since when it is awaited."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.was_opened = False
        self.expect()

    def expect(self) -> None:
        """Begin to wait for it, after a start of the web process."""
        self.answers = False
        self._since = time.monotonic()
        self._next_word = self._since + 1

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._since

    def has_come(self) -> bool:
        """Is this the first time that it answers?"""
        if self.answers or not answers(self.url):
            return False
        self.answers = True
        return True

    def is_late(self) -> bool:
        """Has nothing been said of the wait for a while?"""
        if self.answers or time.monotonic() < self._next_word:
            return False
        self._next_word += WORD_EVERY
        return True


class Runner:
    """The processes of one project, from their start to their end."""

    def __init__(
        self,
        project: Path,
        options: Options,
        log: Log | None = None,
        ended: Ended | None = None,
    ) -> None:
        """`ended` ends the run in place of signals, which reach the main thread alone."""
        self.project, self.options = project, options
        self._log: Log = log or RunningLog()
        self._ended = ended
        self._page = Page(f"http://{HOST}:{options.web_port}/")
        self._processes: list[Process] = []
        self._ended_before: set[Process] = set()  # their end has been explained
        self._guard: Guard
        self._redis: Redis
        self._signal: Ended
        self._saves: Saves | None = None
        self._wires: Wires | None = None
        self._where_wires = ""
        self._web_port = options.web_port  # where the web process listens

    def run(self) -> int:
        """Run until a signal, or until a process ends unless the project is watched.

        Returns an exit code. Raises ProjectProblem or RedisProblem, with nothing left running, if
        the project cannot be run.
        """
        read_procfile(self.project)
        self._check_ports()
        with ExitStack() as stack:
            self._signal = self._ended or stack.enter_context(signals_as_flag())
            self._guard = stack.enter_context(Guard())
            if self.options.made_folder:
                self._guard.folder(self.options.made_folder)
            self._redis = stack.enter_context(redis_server(self._guard))
            is_ours = self._redis.is_ours
            self._log.say(f"Redis at {self._redis.url}" if is_ours else "Redis at REDIS_URL")
            if self.options.watches:
                self._saves = stack.enter_context(Saves(self.project, self._log.say))
                self._log.say(f"Each save of a file in {self.project} restarts the processes.")
            if self.options.new_wires:
                self._open_wires(stack, self.options.new_wires)
            try:
                self._start()
                return self._loop()
            finally:
                self._log.say("ending all processes")
                self._stop()

    @property
    def page_url(self) -> str:
        return self._page.url

    @property
    def page_answers(self) -> bool:
        """Has the page answered since the last start of the web process?"""
        return self._page.answers

    def exit_codes(self) -> dict[str, int | None]:
        """Of each process that was started, by name; None while it runs."""
        return {process.name: process.exit_code for process in list(self._processes)}

    @property
    def _newsletter_url(self) -> str:
        return f"http://{HOST}:{self.options.newsletter_port}"

    def _open_wires(self, stack: ExitStack, new_wires: NewWires) -> None:
        """Take the page's port for the wires; the web process gets another one behind them."""
        self._wires, self._where_wires = stack.enter_context(
            new_wires(self._redis.url, self._newsletter_url, self._say_wire)
        )
        self._web_port = free_port()
        self._wires.web_port_for(self._web_port, port=self.options.web_port)

    def _say_wire(self, text: str) -> None:
        self._log.line("wires", text)

    def environment_of(self, name: str) -> dict[str, str]:
        """The environment of the process of that name in the Procfile."""
        redis_url, newsletter_url = self._redis.url, self._newsletter_url
        if self._wires and name != "newsletter":  # the newsletter service calls no other process
            redis_url = self._wires.redis_url_for(name)
            newsletter_url = self._wires.newsletter_url_for(name)
        return project_environment(
            REDIS_URL=redis_url,
            WEB_PORT=self._web_port,
            NEWSLETTER_PORT=self.options.newsletter_port,
            NEWSLETTER_URL=newsletter_url,
        )

    def _check_ports(self) -> None:
        ports = {
            "--port": self.options.web_port,
            "--newsletter-port": self.options.newsletter_port,
        }
        for option, port in ports.items():
            if problem := port_problem(port):
                first = port + 10 if port > 1023 else port + 8000
                other = next((n for n in range(first, 65_536, 10) if is_free(n)), first)
                raise ProjectProblem(
                    f"Port {port} is {problem}. "
                    f"Choose another port with {option}, for example {option} {other}."
                )

    def _start(self) -> None:
        """Start each process of the Procfile as it is now. Raises ProjectProblem."""
        for name, command in read_procfile(self.project).items():
            env = self.environment_of(name)
            process = Process(name, command, self.project, env, self._log.line)
            self._guard.group(process.pid)
            self._processes.append(process)
        self._page.expect()

    def _stop(self) -> None:
        # The third party comes last: the worker's tasks call it until they are done.
        stop_all([process for process in self._processes if process.name != NEWSLETTER])
        stop_all([process for process in self._processes if process.name == NEWSLETTER])
        for process in self._processes:
            self._guard.ended(process.pid)
        self._processes.clear()

    def _restart(self, saved: list[str]) -> None:
        more = f" and {len(saved) - 3} more" if len(saved) > 3 else ""
        self._log.say(f"Saved: {', '.join(saved[:3])}{more}. Restarting.")
        self._stop()
        try:
            self._start()
        except ProjectProblem as problem:
            self._log.say(f"{problem} The next save starts the processes.")

    def _loop(self) -> int:
        while self._signal.number is None:
            if self._saves and (saved := self._saves.take()):
                self._restart(saved)
            for process in self._ended_now():
                self._say_why(process)
                if not self.options.watches:
                    return process.exit_code or 1
            if any(p.name == "web" and p.exit_code is None for p in self._processes):
                self._follow_page()
            time.sleep(PAUSE)
        return 128 + self._signal.number

    def _ended_now(self) -> list[Process]:
        """The processes whose end has not been explained yet."""
        ended = {process for process in self._processes if process.exit_code is not None}
        new, self._ended_before = ended - self._ended_before, ended
        return sorted(new, key=self._processes.index)

    def _say_why(self, process: Process) -> None:
        process.wait(1)
        last = process.lines[-LAST_LINES:]
        was_signalled = (process.exit_code or 0) > 128
        error = "" if was_signalled else last_error(last[-SHOWN_LINES:])
        if error:
            where = own_line(last, self.project)
            reason, last = f"{where}: {error}" if where else error, traceback_in(last, self.project)
        else:
            reason, last = "It said last:", last[-SHOWN_LINES:]
        self._log.say(f"{process.name} has ended with exit code {process.exit_code}. {reason}")
        for line in last:
            self._log.line(process.name, line)
        if self.options.watches:
            self._log.say(f"The next save starts {process.name} again.")

    def _follow_page(self) -> None:
        if self._page.has_come():
            self._say_page()
        elif self._page.is_late():
            self._log.say(f"starting, {self._page.seconds:.0f} s ...")

    def _say_page(self) -> None:
        after = f"(after {self._page.seconds:.1f} s)"
        if self._page.was_opened:
            # The browser takes no order from here, and the project's code is left as it is.
            self._log.say(f"The page is at {self._page.url} again {after}: reload it.")
            return
        self._page.was_opened = True
        self._log.say(f"The page is at {self._page.url} {after}. Ctrl-C ends everything.")
        if self._where_wires:
            self._log.say(self._where_wires)
        if self.options.opens_page:
            open_page(self._page.url)
