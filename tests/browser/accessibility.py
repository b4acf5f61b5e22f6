"""What axe finds on a page: against WCAG 2.2 AA, and against what its makers call best practice."""

from typing import Any

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

from tests.browser.visitors import HEIGHTS, NARROW, WIDE

TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")

ALL = {"runOnly": {"type": "tag", "values": TAGS}, "resultTypes": ["violations"]}
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast"]}, "resultTypes": ["violations"]}

OVERFLOWING = """() => [...document.querySelectorAll("body *")]
    .filter((each) => each.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
    .map((each) => each.outerHTML.slice(0, 120))"""

Findings = list[str]


async def look_at(page: Page) -> Findings:
    """At what a page shows now, in both widths and themes. It is left wide and light.

    A theme changes nothing but colours, so nothing else is looked at twice.
    """
    findings: Findings = []
    for width in (NARROW, WIDE):
        await page.set_viewport_size({"width": width, "height": HEIGHTS[width]})
        for theme, options in (("dark", COLOURS), ("light", ALL)):
            await page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
            findings += [f"{page.url} at {width}, {theme}: {each}" for each in await _violations(page, options)]
        findings += [f"{page.url} at {width} has to be scrolled sideways: {each}" for each in await _overflow(page)]
    return findings


async def _violations(page: Page, options: dict[str, Any]) -> Findings:
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(Axe().axe_script)
    found = await page.evaluate("(options) => axe.run(options)", options)
    return [
        f"{violation['id']} ({violation['impact']}): {node['html'][:160]}: {node['failureSummary']}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]


async def _overflow(page: Page) -> Findings:
    """What makes the whole page wider than the window. Parts of it may scroll by themselves."""
    wider = "() => document.documentElement.scrollWidth > document.documentElement.clientWidth"
    return [str(each) for each in await page.evaluate(OVERFLOWING)] if await page.evaluate(wider) else []
