"""How far a test run is: in per cent, with the time left; what fails is named at once."""

import time
from statistics import fmean

import pytest

PAUSE = 5.0  # seconds between two lines
SECONDS = "course/seconds"  # in pytest's cache: how long each test took the last time


class Progress:
    """A pytest plugin of the process that the reader sees, with xdist its controller.

    The time left is what the tests to come took the last time, at the pace of those that are done.
    One that never ran counts like those among the done that had not run before.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.cache: pytest.Cache | None = getattr(config, "cache", None)  # -p no:cacheprovider
        self.known: dict[str, float] = self.cache.get(SECONDS, {}) if self.cache else {}
        self.took: dict[str, float] = {}
        self.done: set[str] = set()
        self.names: list[str] = []
        self.started = self.printed = time.monotonic()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.names = [item.nodeid for item in session.items]
        self.started = time.monotonic()

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: object, ids: list[str]) -> None:
        del node
        if not self.names:
            self.names, self.started = list(ids), time.monotonic()

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """No dots and no letters: what passes is counted, and what fails has a line of its own."""
        if report.when == "call" and report.passed:
            return "passed", "", ""
        if report.failed:
            return ("failed", "", "FAILED") if report.when == "call" else ("error", "", "ERROR")
        return None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = plain(report.nodeid)
        self.took[name] = self.took.get(name, 0) + report.duration
        if report.when == "teardown":
            self.done.add(name)
        terminal = self.config.pluginmanager.get_plugin("terminalreporter")
        if report.failed and terminal:
            terminal.ensure_newline()
            terminal.write_line(f"FAILED {name}", red=True)
        if terminal and time.monotonic() > self.printed + PAUSE:
            self.printed = time.monotonic()
            terminal.ensure_newline()
            terminal.write_line(self.line())

    def line(self) -> str:
        """For example: ` 31 %, 140 of 450 tests, about 62 s left`."""
        new = [self.took[name] for name in self.done if name not in self.known]
        usual = fmean(new or self.known.values() or [1.0])
        weights = {name: self.known.get(name, usual) for name in map(plain, self.names)}
        all_of_it = sum(weights.values()) or 1.0
        done = sum(weights.get(name, 0) for name in self.done)
        share = done / all_of_it
        elapsed = time.monotonic() - self.started
        left = f", about {elapsed / share - elapsed:.0f} s left" if share > 0.02 else ""
        return f"{100 * share:3.0f} %, {len(self.done)} of {len(weights)} tests{left}"

    def pytest_sessionfinish(self) -> None:
        if self.cache and self.took:
            seconds = {name: round(took, 2) for name, took in self.took.items()}
            self.cache.set(SECONDS, self.known | seconds)


def plain(name: str) -> str:
    """Without the group that xdist puts behind it."""
    return name.partition("@")[0]
