"""People at browsers of their own: each has a context of the one Chromium, without anybody else's cookies."""

from typing import Final, Literal

from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.browser.watch import Watch

Theme = Literal["light", "dark"]
THEMES: Final[tuple[Theme, ...]] = ("light", "dark")

WIDE, NARROW = 1280, 390
HEIGHTS = {WIDE: 800, NARROW: 844}

WAIT_SECONDS = 30.0
"""For what a page shows at once, on a machine that others use as well; Kafka's part has deadlines of its own."""

expect.set_options(WAIT_SECONDS * 1000)


class Visitors:
    """Makes them for one console, and watches all that they see."""

    def __init__(self, browser: Browser, url: str, key: str) -> None:
        self._browser = browser
        self.url = url
        self._key = key
        self._all: list[tuple[BrowserContext, Watch]] = []

    async def stranger(self, width: int = WIDE, theme: Theme = "light", javascript: bool = True) -> Page:
        """Somebody who isn't signed in."""
        context = await self._browser.new_context(
            base_url=self.url,
            viewport={"width": width, "height": HEIGHTS[width]},
            color_scheme=theme,
            reduced_motion="reduce",
            java_script_enabled=javascript,
            permissions=["clipboard-read", "clipboard-write"],
        )
        context.set_default_timeout(WAIT_SECONDS * 1000)
        self._all.append((context, Watch(context, self.url)))
        return await context.new_page()

    async def admin(self, width: int = WIDE, theme: Theme = "light", javascript: bool = True) -> Page:
        """Somebody who is, and sees the list of zones."""
        page = await self.stranger(width, theme, javascript)
        await sign_in(page, self._key)
        return page

    async def close(self) -> None:
        """What has gone wrong on any page fails the test."""
        for context, _ in self._all:
            await context.close()
        for _, watch in self._all:
            watch.check()


async def sign_in(page: Page, key: str) -> None:
    await page.goto("/sign-in")
    await page.get_by_label("API key").fill(key)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Partner Zones", exact=True)).to_be_visible()
