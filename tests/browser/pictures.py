"""Takes pictures of every page of the console, in both widths and themes:
`python -m tests.browser.pictures FOLDER [NAME…]`, where names are those of `shots.py`.

They show the sample, whose time stands still, so that only what changes on a page changes its pictures, but for shades
that nobody sees. An index is written beside them.
"""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from playwright.async_api import Browser, Page

from tests.browser.chromium import MissingChromium, running_chromium
from tests.browser.sample import Sample
from tests.browser.shots import SHOTS, Shot
from tests.browser.small_png import smaller
from tests.browser.stage import Stage
from tests.browser.visitors import HEIGHTS, NARROW, THEMES, WIDE, Theme, Visitors
from tests.unit.controlplane.api.memory_service import KEY

INDEX = "README.md"

HEAD = """\
# The console, page by page

Each page at 1280 and at 390 pixels, light and dark. The zones, partners and figures are made up
(`tests/browser/sample.py`). `make console-pictures` takes the pictures and writes this page.
"""


def file_name(shot: Shot, width: int, theme: str) -> str:
    return f"{shot.name}-{width}-{theme}.png"


def file_names(shots: Sequence[Shot]) -> set[str]:
    return {file_name(shot, width, theme) for shot in shots for width in (WIDE, NARROW) for theme in THEMES}


async def take(browser: Browser, shot: Shot, folder: Path) -> None:
    async with Stage(await Sample.filled()) as stage:
        visitors = Visitors(browser, stage.url, KEY)
        page, blank = await visitors.admin(), await browser.new_page()
        for step in shot.steps:
            await step(page, stage)
        await page.evaluate("() => document.activeElement.blur()")
        for width in (WIDE, NARROW):
            for theme in THEMES:
                png = await _take(page, shot, width, theme)
                (folder / file_name(shot, width, theme)).write_bytes(await smaller(blank, png))
        await blank.close()
        await visitors.close()


async def _take(page: Page, shot: Shot, width: int, theme: Theme) -> bytes:
    await page.set_viewport_size({"width": width, "height": HEIGHTS[width]})
    await page.emulate_media(color_scheme=theme)
    return await page.screenshot(full_page=shot.is_whole, animations="disabled", scale="css")


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


async def take_all(shots: Sequence[Shot], folder: Path) -> None:
    async with running_chromium() as browser:
        for shot in shots:
            await take(browser, shot, folder)


def tidy(folder: Path) -> None:
    """Write the index, and remove what isn't in it."""
    known = file_names(SHOTS)
    for old in folder.glob("*.png"):
        if old.name not in known:
            old.unlink()
    (folder / INDEX).write_text(index(SHOTS), encoding="utf-8")


def main(arguments: Sequence[str]) -> str | None:
    """What went wrong."""
    if not arguments:
        return "usage: python -m tests.browser.pictures FOLDER [NAME…]"
    folder, wanted = Path(arguments[0]), arguments[1:]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        asyncio.run(take_all([shot for shot in SHOTS if not wanted or shot.name in wanted], folder))
    except MissingChromium as error:
        return str(error)
    tidy(folder)
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
