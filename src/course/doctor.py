"""What the course needs on this machine: what is there, and how to get what is not."""

import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from course.processes import RedisProblem, is_free, redis_server

BROWSERS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"]
MAC_BROWSERS = [
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
]


@dataclass(frozen=True)
class Finding:
    what: str
    found: str
    is_good: bool
    remedy: str = ""


def find_browser() -> str | None:
    """The path of a Chromium for the browser tests: COURSE_BROWSER, or one that is installed."""
    candidates = [os.environ.get("COURSE_BROWSER", ""), *BROWSERS, *MAC_BROWSERS]
    return next((found for name in candidates if name and (found := shutil.which(name))), None)


def how_to_get_a_browser() -> str:
    if platform.system() == "Darwin":
        return "brew install --cask chromium"
    if shutil.which("dnf"):
        return "sudo dnf install chromium"
    return "sudo apt-get install chromium"


def examine() -> list[Finding]:
    return [
        Finding("Python", platform.python_version(), True),
        redis_finding(),
        *[port_finding(option, port) for option, port in PORTS.items()],
        browser_finding(),
    ]


PORTS = {"--port": 8010, "--newsletter-port": 8011}


def redis_finding() -> Finding:
    try:
        with redis_server() as server:
            whose = "the course's own" if server.is_ours else "the one at REDIS_URL"
            info = server.client.info("server")
            version = info.get("valkey_version") or info["redis_version"]
            return Finding("Redis", f"{version}, {whose}", True)
    except RedisProblem as problem:
        remedy = "Start that server, or unset REDIS_URL: the course then starts one of its own."
        return Finding("Redis", str(problem), False, remedy)


def port_finding(option: str, port: int) -> Finding:
    if is_free(port):
        return Finding(f"Port {port}", "free", True)
    return Finding(f"Port {port}", "taken", False, f"./course run {option} {port + 10}")


def browser_finding() -> Finding:
    found = find_browser()
    if found:
        return Finding("Browser for the tests", str(Path(found)), True)
    return Finding("Browser for the tests", "no Chromium", False, how_to_get_a_browser())
