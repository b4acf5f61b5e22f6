"""Takes pictures of every page of the console, in both widths and themes: `python -m tests.browser.pictures FOLDER`.

They show the sample, whose time stands still, so that only what changes on a page changes its pictures. An index is
written beside them.
"""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from playwright.async_api import Browser, Page

from tests.browser.chromium import MissingChromium, running_chromium
from tests.browser.sample import Sample
from tests.browser.shots import SHOTS, Shot
from tests.browser.stage import Stage
from tests.browser.visitors import HEIGHTS, NARROW, THEMES, WIDE, Visitors
from tests.unit.controlplane.api.memory_service import KEY

INDEX = "README.md"

HEAD = """\
# The console, page by page

Each page at 1280 and at 390 pixels, light and dark. The zones, partners and figures are made up
(`tests/browser/sample.py`). `make console-pictures` takes the pictures and writes this page.
"""


def file_name(shot: Shot, width: int, theme: str) -> str:
    return f"{shot.name}-{width}-{theme}.png"


async def take(browser: Browser, shot: Shot, folder: Path) -> None:
    async with Stage(await Sample.filled()) as stage:
        visitors = Visitors(browser, stage.url, KEY)
        page = await visitors.admin()
        await shot.go(page, stage)
        await page.evaluate("() => document.activeElement.blur()")
        for width in (WIDE, NARROW):
            for theme in THEMES:
                await _take(page, shot, width, folder / file_name(shot, width, theme), theme == "dark")
        await visitors.close()


async def _take(page: Page, shot: Shot, width: int, path: Path, is_dark: bool) -> None:
    await page.set_viewport_size({"width": width, "height": HEIGHTS[width]})
    await page.emulate_media(color_scheme="dark" if is_dark else "light")
    await page.screenshot(path=path, full_page=shot.is_whole, animations="disabled", scale="css")


def index(shots: Sequence[Shot]) -> str:
    parts = [HEAD]
    for shot in shots:
        parts.append(f"\n## {shot.caption}\n\n")
        for theme in THEMES:
            wide, narrow = (file_name(shot, width, theme) for width in (WIDE, NARROW))
            parts.append(
                f'<img src="{wide}" width="640" alt="{shot.caption}, 1280 pixels wide, {theme}">\n'
                f'<img src="{narrow}" width="195" alt="{shot.caption}, 390 pixels wide, {theme}">\n'
            )
    return "".join(parts)


async def take_all(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    async with running_chromium() as browser:
        for shot in SHOTS:
            await take(browser, shot, folder)
    known = {file_name(shot, width, theme) for shot in SHOTS for width in (WIDE, NARROW) for theme in THEMES}
    for old in folder.glob("*.png"):
        if old.name not in known:
            old.unlink()
    (folder / INDEX).write_text(index(SHOTS), encoding="utf-8")


def main(arguments: Sequence[str]) -> str | None:
    """What went wrong."""
    if len(arguments) != 1:
        return "usage: python -m tests.browser.pictures FOLDER"
    try:
        asyncio.run(take_all(Path(arguments[0])))
    except MissingChromium as error:
        return str(error)
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
