"""What axe finds on a page: against WCAG 2.2 AA, and against what its makers call best practice."""

from collections.abc import Mapping, Sequence
from typing import Final

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

from tests.browser.visitors import HEIGHTS, NARROW, WIDE, Theme

TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")

ALL = {"type": "tag", "values": TAGS}
COLOURS = {"type": "rule", "values": ["color-contrast"]}
LAYOUT = {"type": "rule", "values": ["target-size", "scrollable-region-focusable"]}

Look = tuple[int, Theme, Mapping[str, object]]

LOOKS: Final[Sequence[Look]] = ((WIDE, "light", ALL), (WIDE, "dark", COLOURS), (NARROW, "light", LAYOUT))
"""A theme changes colours alone, and a width what is where: nothing else is looked at twice."""

OVERFLOWING = """() => [...document.querySelectorAll("body *")]
    .filter((each) => each.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
    .map((each) => each.outerHTML.slice(0, 120))"""

Findings = list[str]


async def look_at(page: Page) -> Findings:
    """At what a page shows now, in both widths and themes. It is left as wide and light as it was."""
    findings: Findings = []
    for width, theme, rules in LOOKS:
        await page.set_viewport_size({"width": width, "height": HEIGHTS[width]})
        await page.emulate_media(color_scheme=theme)
        findings += [f"{page.url} at {width}, {theme}: {each}" for each in await _violations(page, rules)]
    findings += [f"{page.url} has to be scrolled sideways: {each}" for each in await _overflow(page)]
    await page.set_viewport_size({"width": WIDE, "height": HEIGHTS[WIDE]})
    return findings


async def _violations(page: Page, rules: Mapping[str, object]) -> Findings:
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(Axe().axe_script)
    options = {"runOnly": rules, "resultTypes": ["violations"]}
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
