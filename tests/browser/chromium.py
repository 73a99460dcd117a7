"""The system's Chromium, driven by Playwright; Playwright's own download is never asked for."""

import os
import shutil
from contextlib import contextmanager

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
MISSING = (
    "no Chromium on this machine, so nothing is tried in a browser; "
    "`apt-get install chromium` (or Chrome on the PATH) mends that"
)


def executable() -> str | None:
    """Path of an installed Chromium or Chrome."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def chromium():
    """A browser without a window.

    Raises:
        RuntimeError: no Chromium is installed.
    """
    from playwright.sync_api import sync_playwright

    path = executable()
    if path is None:
        raise RuntimeError(MISSING)
    arguments = ["--disable-dev-shm-usage"]  # containers give it 64 MB
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        arguments.append("--no-sandbox")  # Chromium refuses root otherwise
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        try:
            yield browser
        finally:
            browser.close()
