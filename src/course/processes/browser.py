"""The browser for the tests: where an installed Chromium is."""

import os
import shutil
from pathlib import Path

BROWSERS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"]
MAC_BROWSERS = [
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
]
PLAYWRIGHTS = ".cache/ms-playwright/chromium-*/chrome-linux*/chrome"  # of `playwright install`


def find_browser() -> str | None:
    """The path of a Chromium for the browser tests: COURSE_BROWSER, or one that is installed."""
    kept = sorted(Path.home().glob(PLAYWRIGHTS), reverse=True)
    candidates = [os.environ.get("COURSE_BROWSER", ""), *BROWSERS, *MAC_BROWSERS, *map(str, kept)]
    return next((found for name in candidates if name and (found := shutil.which(name))), None)
