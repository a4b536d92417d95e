"""What the course needs on this machine: what is there, and how to get what is not."""

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from course.content.chapters import ROOT
from course.doctor.system import Machine, this_machine
from course.processes import RedisProblem, port_problem, redis_server
from course.processes.browser import find_browser

PORTS = {"--port": 8010, "--newsletter-port": 8011}
ROOM = 1.0  # GB: about twice what .venv takes with everything in it


@dataclass(frozen=True)
class Finding:
    what: str
    found: str
    is_good: bool
    remedy: str = ""
    is_required: bool = True


def how_to_get_a_browser() -> str:
    return this_machine().remedy("browser")


def examine() -> list[Finding]:
    machine = this_machine()
    return [
        system_finding(machine),
        Finding("Python", f"{platform.python_version()} in {sys.prefix}", True),
        venv_finding(machine),
        disk_finding(),
        redis_finding(),
        *[port_finding(option, port) for option, port in PORTS.items()],
        test_packages_finding(),
        browser_finding(machine),
        nginx_finding(machine),
    ]


def is_well(findings: list[Finding]) -> bool:
    return all(finding.is_good for finding in findings if finding.is_required)


def as_data(findings: list[Finding]) -> dict[str, Any]:
    return {"is_well": is_well(findings), "findings": [asdict(finding) for finding in findings]}


def show(findings: list[Finding], console: Console) -> None:
    """A line for each, and below what is missing the command that mends it."""
    width = max(len(finding.what) for finding in findings)
    for finding in findings:
        mark, style = ("✓", "green") if finding.is_good else ("✗", "red")
        if not finding.is_good and not finding.is_required:
            mark, style = "-", "yellow"
        line = Text.assemble((mark, style), f" {finding.what:<{width}}  {finding.found}")
        console.print(line, soft_wrap=True)
        if not finding.is_good:
            console.print(Text(" " * (width + 4) + finding.remedy, "bold"), soft_wrap=True)
    lacks = [finding for finding in findings if not finding.is_good]
    if not lacks:
        console.print("\nNothing is missing.")
    elif is_well(findings):
        console.print("\nThe course runs. What is marked - it can do without.")
    else:
        console.print("\nThe course does not run without what is marked ✗.")


def system_finding(machine: Machine, root: Path = ROOT) -> Finding:
    """Celery's worker forks its pool processes, so Windows itself will not do; WSL will."""
    if machine.family == "windows":
        return Finding("System", "Windows, which cannot fork", False, "wsl --install")
    if machine.is_wsl and root.is_relative_to("/mnt"):
        found = f"{machine.name} in WSL, on a disk of Windows: slow"
        return Finding("System", found, False, f"cp -r {root} ~/ && cd ~/{root.name}", False)
    return Finding("System", machine.name + (" in WSL" if machine.is_wsl else ""), True)


def venv_finding(machine: Machine) -> Finding:
    """What ./course sets itself up with, now and whenever a lock changes."""
    if uv := shutil.which("uv"):
        return Finding("Set-up with", uv, True)
    if find_spec("venv") and find_spec("ensurepip"):
        return Finding("Set-up with", "venv and pip", True)
    return Finding("Set-up with", "no venv in this Python", False, machine.remedy("venv"))


def disk_finding(root: Path = ROOT, room: float = ROOM) -> Finding:
    free = shutil.disk_usage(root).free / 1e9
    found = f"{free:.1f} GB free"
    remedy = f"Free {room:g} GB on the disk of {root}: du -sh ~/* | sort -h shows what is large."
    return Finding("Disk", found, free >= room, remedy if free < room else "")


def redis_finding() -> Finding:
    try:
        with redis_server() as server:
            whose = "the course's own" if server.is_ours else "the one at REDIS_URL"
            info = server.client.info("server")
            version = info.get("valkey_version") or info["redis_version"]
            return Finding("Redis", f"{version}, {whose}", True)
    except RedisProblem as problem:
        # The course then starts one of its own.
        return Finding("Redis", str(problem), False, "unset REDIS_URL")


def port_finding(option: str, port: int) -> Finding:
    problem = port_problem(port)
    if not problem:
        return Finding(f"Port {port}", "free", True, is_required=False)
    remedy = f"./course run {option} {port + 10}"
    return Finding(f"Port {port}", problem, False, remedy, is_required=False)


def test_packages_finding() -> Finding:
    if find_spec("pytest"):
        return Finding("Packages for the tests", "installed", True, is_required=False)
    remedy = "./course test --collect-only -q"  # ./course check gets them as well
    return Finding("Packages for the tests", "not yet installed", False, remedy, is_required=False)


def browser_finding(machine: Machine) -> Finding:
    if found := find_browser():
        return Finding("Browser for the tests", found, True, is_required=False)
    remedy = machine.remedy("browser")
    return Finding("Browser for the tests", "no Chromium", False, remedy, is_required=False)


def nginx_finding(machine: Machine) -> Finding:
    """Only the tests of two web processes behind one address want it."""
    found = shutil.which("nginx", path=os.pathsep.join([*os.get_exec_path(), "/usr/sbin"]))
    if not found:
        remedy = machine.remedy("nginx")
        return Finding("nginx", "not installed", False, remedy, is_required=False)
    said = subprocess.run([found, "-v"], capture_output=True, text=True, timeout=10, check=False)
    version = said.stderr.strip().removeprefix("nginx version: ")
    return Finding("nginx", version, True, is_required=False)
