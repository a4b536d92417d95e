"""On what it was measured, so that a number is never read without it."""

import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from course.processes import Redis

PACKAGES = (
    "asgiref",
    "asyncio-redis",
    "broadcaster",
    "celery",
    "fastapi",
    "python-socketio",
    "redis",
    "starlette",
    "uvicorn",
    "uvloop",
    "websockets",
)


def processor() -> str:
    """The processor's name as Linux gives it, or what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def package_versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def redis_version(server: Redis) -> str:
    info = server.client.info("server")
    name = info.get("server_name", "redis")
    return f"{name} {info.get(f'{name}_version', info.get('redis_version'))}"


def describe(server: Redis) -> dict[str, Any]:
    """Machine and versions, and how busy the machine was before we began."""
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 1024**3, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": sys.version.split()[0],
        "redis": redis_version(server),
        "packages": package_versions(),
        "load_average": round(os.getloadavg()[0], 2),
    }
