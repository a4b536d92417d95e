"""The test kit: a project's real processes, clients for them, and messages that help.

Nothing here, and no test that uses it, imports the project: what is judged is what it does.
"""

from course.testkit.expect import NotAsExpected, ahead, eventually, expect, expect_that
from course.testkit.follower import FINAL, Follower, SocketClosed, TaskStatus, run_async
from course.testkit.launched import Web
from course.testkit.project import RunningProject, running
from course.testkit.scripts import Script

__all__ = [
    "FINAL",
    "Follower",
    "NotAsExpected",
    "RunningProject",
    "Script",
    "SocketClosed",
    "TaskStatus",
    "Web",
    "ahead",
    "eventually",
    "expect",
    "expect_that",
    "run_async",
    "running",
]
