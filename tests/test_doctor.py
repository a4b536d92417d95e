"""`./course doctor`: what it finds, what it advises on each system, and its exit code."""

import json
import socket
from pathlib import Path

import pytest
from command import course

from course.doctor.findings import (
    Finding,
    browser_finding,
    disk_finding,
    is_well,
    port_finding,
    system_finding,
)
from course.doctor.system import REMEDIES, Machine, linux
from course.processes import HOST, free_port
from course.processes.browser import find_browser

DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n'
UBUNTU = 'NAME="Ubuntu"\nPRETTY_NAME="Ubuntu 24.04.3 LTS"\nID=ubuntu\nID_LIKE=debian\n'
MINT = 'PRETTY_NAME="Linux Mint 22"\nID=linuxmint\nID_LIKE="ubuntu debian"\n'
FEDORA = 'PRETTY_NAME="Fedora Linux 43"\nID=fedora\n'
ROCKY = 'PRETTY_NAME="Rocky Linux 10"\nID="rocky"\nID_LIKE="rhel centos fedora"\n'
ARCH = 'PRETTY_NAME="Arch Linux"\nID=arch\n'
WSL = "Linux version 6.6.87.2-microsoft-standard-WSL2 (root@439a258ad544)"
PLAIN = "Linux version 6.12.43+deb12-amd64 (debian-kernel@lists.debian.org)"


def doctor(*options: str, **env: str) -> tuple[int, str]:
    done = course("doctor", *options, limit=30, **env)
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_everything_is_looked_at() -> None:
    """Each prerequisite is named, with what was found; what is missing decides the exit code."""
    code, output = doctor()
    names = ("System", "Python", "Set-up with", "Disk", "Redis", "Port 8010", "Port 8011")
    for name in (*names, "Packages for the tests", "Browser for the tests", "nginx"):
        assert name in output
    assert (code == 0) == ("✗" not in output)


def test_required_redis_is_missing() -> None:
    """A REDIS_URL that leads nowhere: exit code 1, and one command, in words and as JSON."""
    url = f"redis://{HOST}:{free_port()}/0"
    code, output = doctor(REDIS_URL=url)
    assert code == 1
    assert "✗ Redis" in output
    assert "unset REDIS_URL" in output
    code, output = doctor("--json", REDIS_URL=url)
    data = json.loads(output)
    assert (code, data["is_well"]) == (1, False)
    bad = [found for found in data["findings"] if found["is_required"] and not found["is_good"]]
    assert [(found["what"], found["remedy"]) for found in bad] == [("Redis", "unset REDIS_URL")]


def test_optional_things_do_not_decide() -> None:
    """Without browser and nginx the course runs: exit code 0, and how to get them is said."""
    hidden = {"PATH": "/nonexistent", "HOME": "/nonexistent", "COURSE_BROWSER": ""}
    code, output = doctor("--json", **hidden)
    found = {finding["what"]: finding for finding in json.loads(output)["findings"]}
    assert not found["Browser for the tests"]["is_good"]
    assert found["Browser for the tests"]["remedy"]
    assert code == 0


@pytest.mark.parametrize(
    ("os_release", "proc_version", "machine"),
    [
        (DEBIAN, PLAIN, Machine("debian", "Debian GNU/Linux 12 (bookworm)")),
        (UBUNTU, PLAIN, Machine("ubuntu", "Ubuntu 24.04.3 LTS")),
        (UBUNTU, WSL, Machine("ubuntu", "Ubuntu 24.04.3 LTS", is_wsl=True)),
        (MINT, PLAIN, Machine("ubuntu", "Linux Mint 22")),
        (FEDORA, PLAIN, Machine("fedora", "Fedora Linux 43")),
        (ROCKY, PLAIN, Machine("fedora", "Rocky Linux 10")),
        (ARCH, PLAIN, Machine("other", "Arch Linux")),
        ("", "", Machine("other", "Linux")),
    ],
    ids=["debian", "ubuntu", "wsl", "mint", "fedora", "rocky", "arch", "unknown"],
)
def test_system_is_recognised(os_release: str, proc_version: str, machine: Machine) -> None:
    """The family decides the command; it is read from what the system says of itself."""
    assert linux(os_release, proc_version) == machine


@pytest.mark.parametrize("family", ["debian", "ubuntu", "fedora", "macos", "other"])
def test_each_system_has_each_remedy(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can be missing has one command, on every system."""
    machine = Machine(family, family)
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setenv("HOME", "/nonexistent")
    monkeypatch.delenv("COURSE_BROWSER", raising=False)
    monkeypatch.setattr("course.processes.browser.MAC_BROWSERS", [])
    assert browser_finding(machine).remedy == REMEDIES["browser"][family]
    assert all("\n" not in commands[family] for commands in REMEDIES.values())


def test_windows_is_sent_to_wsl() -> None:
    """Windows itself cannot run a pool of forked processes; the command gets WSL."""
    finding = system_finding(Machine("windows", "Windows"))
    assert (finding.is_good, finding.is_required) == (False, True)
    assert finding.remedy == "wsl --install"


def test_wsl_on_a_windows_disk_is_said() -> None:
    """Below /mnt/c everything is slow: said, with the command that moves the course."""
    machine = Machine("ubuntu", "Ubuntu 24.04.3 LTS", is_wsl=True)
    there = system_finding(machine, Path("/mnt/c/course"))
    assert not there.is_good
    assert there.remedy == "cp -r /mnt/c/course ~/ && cd ~/course"
    assert system_finding(machine, Path("/home/ann/course")).is_good
    assert system_finding(Machine("ubuntu", "Ubuntu"), Path("/mnt/data/course")).is_good


def test_port_and_disk(tmp_path: Path) -> None:
    """A port that is taken, and a disk that is full, are said with what to do."""
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        finding = port_finding("--port", port)
    assert finding.remedy == f"./course run --port {port + 10}"
    assert not finding.is_required
    assert disk_finding(tmp_path, room=0).is_good
    full = disk_finding(tmp_path, room=10**9)
    assert not full.is_good
    assert str(tmp_path) in full.remedy


@pytest.mark.parametrize(
    "file",
    [
        "chromium-1200/chrome-linux64/chrome",
        "chromium_headless_shell-1200/chrome-linux/headless_shell",
        "chromium_headless_shell-1200/chrome-headless-shell-linux64/chrome-headless-shell",
    ],
)
def test_playwrights_own_chromium_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    """What `playwright install chromium` gets is found where it puts it."""
    browser = tmp_path / ".cache/ms-playwright" / file
    browser.parent.mkdir(parents=True)
    browser.write_text("")
    browser.chmod(0o755)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.delenv("COURSE_BROWSER", raising=False)
    monkeypatch.setattr("course.processes.browser.MAC_BROWSERS", [])
    assert find_browser() == str(browser)


def test_what_decides_is_what_is_required() -> None:
    """The verdict: a lack of what is optional leaves it good."""
    optional = Finding("nginx", "not installed", False, "...", is_required=False)
    assert is_well([optional])
    assert not is_well([optional, Finding("Redis", "none", False, "...")])
