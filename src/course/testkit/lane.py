"""A lane of `./course check`: a process that judges one idea after the other on one project.

    python -m course.testkit.lane FD ORDER

The project's processes are started first: they need as long as pytest takes to read the tests.
"""

import os
import socket
import sys
from contextlib import ExitStack

from course.processes import ProjectProblem, RedisProblem
from course.processes.interrupts import ended_by_signals
from course.testkit.events import Order
from course.testkit.project import RunningProject, launched

# What the tests of chapters and exercises need. Others, installed for the course's own tests, take
# their time to load.
PLUGINS = ("course", "timeout", "playwright")


def main(fd: int, order: Order) -> int:
    os.set_inheritable(fd, False)
    begun: RunningProject | ProjectProblem | RedisProblem | None = None
    with socket.socket(fileno=fd) as link, ended_by_signals(), ExitStack() as stack:
        if order.needs_project:
            try:
                begun = stack.enter_context(launched(order.project, with_wires=order.with_wires))
            except (ProjectProblem, RedisProblem) as problem:
                begun = problem

        import pytest

        from course.testkit.report import IdeaRunner

        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        arguments = [option for name in PLUGINS for option in ("-p", name)]
        arguments += ["-q", "-p", "no:cacheprovider", "-c", "pyproject.toml", "--rootdir", "."]
        arguments += ["-o", "addopts=--import-mode=importlib", "--assert=plain"]
        arguments += [f"--timeout={order.idea_limit:g}", "--project", str(order.project)]
        arguments += ["--wires"] if order.with_wires else []
        with link.makefile("rw", buffering=1) as lines:
            runner = IdeaRunner(lines, order.project, begun)
            return int(pytest.main(arguments + order.nodes, plugins=[runner]))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), Order.decode(sys.argv[2])))
