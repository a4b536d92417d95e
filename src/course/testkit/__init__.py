"""The test kit: a project's real processes, clients for them, and messages that help.

Nothing here, and no test that uses it, imports the project: what is judged is what it does.
"""

from course.testkit.expect import NotAsExpected, eventually, expect, expect_that
from course.testkit.project import RunningProject, SocketClosed, TaskStatus, Web, run_async

__all__ = [
    "NotAsExpected",
    "RunningProject",
    "SocketClosed",
    "TaskStatus",
    "Web",
    "eventually",
    "expect",
    "expect_that",
    "run_async",
]
