"""`./course run`: a chapter's processes under one log, until Ctrl-C or until one of them ends."""

import os
import sys
import threading
import time
import webbrowser
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from datetime import datetime
from pathlib import Path
from typing import Protocol

from honcho.colour import get_colours
from honcho.printer import Message, Printer

from course.processes import (
    HOST,
    Process,
    ProjectProblem,
    answers,
    free_port,
    is_free,
    project_environment,
    read_procfile,
    redis_server,
    stop_all,
)
from course.processes.interrupts import Ended, signals_as_flag

LAST_LINES = 12


class Wires(Protocol):
    """Addresses that lead through the proxies which show what passes: course.wires.Tap."""

    def redis_url_for(self, process: str) -> str: ...

    def newsletter_url_for(self, process: str) -> str: ...

    def web_port_for(self, real_port: int, process: str = "web", port: int = 0) -> int: ...


# From the addresses of Redis and the newsletter service and what prints a line, to the wires and
# what to say of them.
WiresFactory = Callable[
    [str, str, Callable[[str], None]], AbstractContextManager[tuple[Wires, str]]
]


class Log:
    """One log for all processes: a time, a name and a colour in front of each line."""

    def __init__(self) -> None:
        self._printer = Printer(
            sys.stdout, width=len("newsletter"), colour=not os.environ.get("NO_COLOR")
        )
        self._colours = get_colours()
        self._colour_of: dict[str, str] = {}
        self._lock = threading.Lock()

    def line(self, name: str, text: str) -> None:
        with self._lock:
            if name not in self._colour_of:
                self._colour_of[name] = next(self._colours)
            colour = self._colour_of[name]
            try:
                self._printer.write(Message("line", text, datetime.now(), name, colour))
            except BrokenPipeError:  # `| tee` has ended, by the same Ctrl-C: nobody reads any more
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def say(self, text: str) -> None:
        self.line("course", text)


def run_project(
    project: Path,
    web_port: int,
    newsletter_port: int,
    open_page: bool,
    new_wires: WiresFactory | None = None,
) -> int:
    """Run the project until a signal or the end of one of its processes. Returns an exit code.

    With `new_wires`, all that passes between the processes passes through these wires.
    Raises ProjectProblem or RedisProblem, before anything was started, if it cannot be run.
    """
    commands = read_procfile(project)
    ports = {"--port": web_port, "--newsletter-port": newsletter_port}
    for option, port in ports.items():
        if not is_free(port):
            raise ProjectProblem(
                f"Port {port} is taken by another program. "
                f"Choose another port with {option}, for example {option} {port + 10}."
            )

    page = f"http://{HOST}:{web_port}/"
    log = Log()
    with signals_as_flag() as ended, redis_server() as server:
        log.say(f"Redis at {server.url}" if server.is_ours else "Redis at REDIS_URL")
        newsletter_url = f"http://{HOST}:{newsletter_port}"
        settings: dict[str, object] = {
            "REDIS_URL": server.url,
            "WEB_PORT": web_port,
            "NEWSLETTER_PORT": newsletter_port,
            "NEWSLETTER_URL": newsletter_url,
        }
        with ExitStack() as stack:
            wires, words = None, ""
            if new_wires:
                wires, words = stack.enter_context(
                    new_wires(server.url, newsletter_url, lambda line: log.line("wires", line))
                )
                behind = free_port()
                wires.web_port_for(behind, port=web_port)
                settings["WEB_PORT"] = behind
            processes: list[Process] = []
            try:
                for name, command in commands.items():
                    own = addresses(name, wires) if wires else {}
                    env = project_environment(**settings | own)
                    processes.append(Process(name, command, project, env, log.line))
                return watch(processes, page, log, ended, open_page, words)
            finally:
                log.say("ending all processes")
                stop_all(processes)


def addresses(name: str, wires: Wires) -> dict[str, object]:
    """Where a process reaches the others, through its own wires. The newsletter service calls
    nobody: it is somebody else's."""
    if name == "newsletter":
        return {}
    return {
        "REDIS_URL": wires.redis_url_for(name),
        "NEWSLETTER_URL": wires.newsletter_url_for(name),
    }


def watch(
    processes: list[Process], page: str, log: Log, ended: Ended, open_page: bool, words: str = ""
) -> int:
    """Say when the page answers, with `words` after that; return when a process has ended."""
    start = time.monotonic()
    next_word = start + 1
    page_answers = False
    while ended.number is None:
        if stopped := next((p for p in processes if p.exit_code is not None), None):
            tell_why(stopped, log)
            return stopped.exit_code or 1
        if not page_answers and answers(page):
            page_answers = True
            seconds = time.monotonic() - start
            log.say(f"The page is at {page} (after {seconds:.1f} s). Ctrl-C ends everything.")
            if words:
                log.say(words)
            if open_page:
                webbrowser.open(page)
        if not page_answers and time.monotonic() > next_word:
            log.say(f"starting, {time.monotonic() - start:.0f} s ...")
            next_word += 2
        time.sleep(0.1)
    return 128 + ended.number


def tell_why(process: Process, log: Log) -> None:
    process.wait(1)
    log.say(f"{process.name} has ended with exit code {process.exit_code}. It said last:")
    for line in process.lines[-LAST_LINES:]:
        log.line(process.name, line)
