"""Real processes: a project's own, a Redis server, free ports, and how all of them are ended.

`./course run`, the test kit, the checker and the bench stand on this room.
"""

from course.processes.ports import HOST, answers, free_port, is_free, port_problem
from course.processes.process import (
    GRACE,
    KEPT_LINES,
    Process,
    project_environment,
    stop_all,
    worker_is_ready,
)
from course.processes.procfile import ProjectProblem, read_procfile
from course.processes.redis import Redis, RedisProblem, redis_server
from course.processes.waiting import wait_for

__all__ = [
    "GRACE",
    "HOST",
    "KEPT_LINES",
    "Process",
    "ProjectProblem",
    "Redis",
    "RedisProblem",
    "answers",
    "free_port",
    "is_free",
    "port_problem",
    "project_environment",
    "read_procfile",
    "redis_server",
    "stop_all",
    "wait_for",
    "worker_is_ready",
]
