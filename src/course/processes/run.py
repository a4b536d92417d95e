"""`./course run`: a chapter's processes under one log, until Ctrl-C or until one of them ends."""

import os
import sys
import threading
import time
import webbrowser
from datetime import datetime
from pathlib import Path

from honcho.colour import get_colours
from honcho.printer import Message, Printer

from course.processes import (
    HOST,
    Process,
    ProjectProblem,
    answers,
    is_free,
    project_environment,
    read_procfile,
    redis_server,
    stop_all,
)
from course.processes.interrupts import Ended, signals_as_flag

LAST_LINES = 12


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


def run_project(project: Path, web_port: int, newsletter_port: int, open_page: bool) -> int:
    """Run the project until a signal or the end of one of its processes. Returns an exit code.

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
        env = project_environment(
            REDIS_URL=server.url,
            WEB_PORT=web_port,
            NEWSLETTER_PORT=newsletter_port,
            NEWSLETTER_URL=f"http://{HOST}:{newsletter_port}",
        )
        processes: list[Process] = []
        try:
            for name, command in commands.items():
                processes.append(Process(name, command, project, env, log.line))
            return watch(processes, page, log, ended, open_page)
        finally:
            log.say("ending all processes")
            stop_all(processes)


def watch(processes: list[Process], page: str, log: Log, ended: Ended, open_page: bool) -> int:
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
