"""Finds Chromium on this machine and starts it. No browser is downloaded: those of Playwright's own aren't used."""

import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.async_api import Browser

VARIABLE = "ZONEGATE_TEST_CHROMIUM"
NAMES = ("chromium", "google-chrome", "google-chrome-stable")

HOW_TO_GET = f"Get it with 'apt-get install chromium', or name one: {VARIABLE}=/path/to/chromium"

ARGUMENTS = (
    # What a page asks of another host fails on any machine alike, and is seen by `watch.py`.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--disable-dev-shm-usage",
    "--font-render-hinting=none",
)


class MissingChromium(Exception):
    """`str()` says what to install."""


def find_chromium() -> Path:
    """Raises MissingChromium."""
    if named := os.environ.get(VARIABLE):
        if not os.access(named, os.X_OK):
            raise FileNotFoundError(f"{VARIABLE} names {named}, which is no program")
        return Path(named)
    for name in NAMES:
        if found := shutil.which(name):
            return Path(found)
    raise MissingChromium(f"Chromium is not installed: the console isn't tested in a browser. {HOW_TO_GET}")


@contextlib.asynccontextmanager
async def running_chromium() -> AsyncIterator["Browser"]:
    """Raises MissingChromium."""
    from playwright.async_api import async_playwright  # half a second, which test runs without a browser don't spend

    program = find_chromium()
    root = ("--no-sandbox",) if os.geteuid() == 0 else ()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=[*ARGUMENTS, *root])
        try:
            yield browser
        finally:
            await browser.close()
