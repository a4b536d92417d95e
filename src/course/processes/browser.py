"""The browser for the tests: where an installed Chromium is, and how it is started."""

import os
import shutil
from pathlib import Path

# The headless shell first: a page in it costs less than half the processor time.
BROWSERS = [
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
]
MAC_BROWSERS = [
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
]
PLAYWRIGHTS = [  # of `playwright install`
    ".cache/ms-playwright/chromium_headless_shell-*/*/*headless[-_]shell",
    ".cache/ms-playwright/chromium-*/chrome-linux*/chrome",
]
# A whole Chromium prepares its address bar's popup for each page, in a process of its own.
WITHOUT_POPUP = "--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup"
QUIET = ["--disable-background-networking", "--disable-component-update", "--no-first-run"]


def find_browser() -> str | None:
    """The path of a Chromium for the browser tests: COURSE_BROWSER, or one that is installed."""
    kept = [path for place in PLAYWRIGHTS for path in sorted(Path.home().glob(place), reverse=True)]
    candidates = [os.environ.get("COURSE_BROWSER", ""), *BROWSERS, *MAC_BROWSERS, *map(str, kept)]
    return next((found for name in candidates if name and (found := shutil.which(name))), None)


def browser_arguments() -> list[str]:
    """What a Chromium for the tests is started with."""
    # Chromium's sandbox does not work for root, as in a container.
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    return [*sandbox, *QUIET, WITHOUT_POPUP]
