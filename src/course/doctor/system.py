"""Which machine this is, and the command that gets what it lacks."""

import platform
import sys
from dataclasses import dataclass
from pathlib import Path

# The command by family; Ubuntu's own Chromium is a snap, which cannot read the tests' files.
REMEDIES = {
    "browser": {
        "debian": "sudo apt install chromium-headless-shell",
        "ubuntu": "./course test --collect-only -q && "
        ".venv/bin/playwright install --with-deps chromium",
        "fedora": "sudo dnf install chromium",
        "macos": "brew install --cask google-chrome",
        "other": "Install Chromium, or name one: export COURSE_BROWSER=/path/to/chrome",
    },
    "nginx": {
        "debian": "sudo apt install nginx-light",
        "ubuntu": "sudo apt install nginx-light",
        "fedora": "sudo dnf install nginx",
        "macos": "brew install nginx",
        "other": "Install nginx with this system's package manager.",
    },
    "venv": {
        "debian": "sudo apt install python3-venv",
        "ubuntu": "sudo apt install python3-venv",
        "fedora": "sudo dnf install python3",
        "macos": "brew install python",
        "other": "Install a Python with the modules venv and ensurepip.",
    },
}


@dataclass(frozen=True)
class Machine:
    family: str  # a key of the tables above
    name: str  # as the system calls itself
    is_wsl: bool = False

    def remedy(self, lack: str) -> str:
        return REMEDIES[lack][self.family]


def this_machine() -> Machine:
    if sys.platform == "win32":
        return Machine("windows", "Windows")
    if sys.platform == "darwin":
        return Machine("macos", f"macOS {platform.mac_ver()[0]}")
    return linux(text_of("/etc/os-release"), text_of("/proc/version"))


def linux(os_release: str, proc_version: str) -> Machine:
    """The machine that these two files describe."""
    pairs = [line.partition("=")[::2] for line in os_release.splitlines() if "=" in line]
    fields = {key: value.strip("\"'") for key, value in pairs}
    ids = [fields.get("ID", ""), *fields.get("ID_LIKE", "").split()]
    alike = {"rhel": "fedora", "centos": "fedora"}
    known = [alike.get(name, name) for name in ids]
    family = next((name for name in known if name in ("debian", "ubuntu", "fedora")), "other")
    is_wsl = "microsoft" in proc_version.lower()
    return Machine(family, fields.get("PRETTY_NAME", "Linux"), is_wsl)


def text_of(path: str) -> str:
    file = Path(path)
    return file.read_text() if file.exists() else ""
