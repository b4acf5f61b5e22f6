"""Going through a page with the Tab key."""

from playwright.async_api import Locator, Page

FOCUSABLE = "a[href], button, input, select, textarea, summary, [tabindex='0']"

MISSED = """(selector) => [...document.querySelectorAll(selector)]
    .filter((each) => each.checkVisibility() && !each.disabled && each.type !== "hidden" && each.tabIndex >= 0)
    .filter((each) => ![...reached].some((one) => one === each || (one.type === "radio" && one.name === each.name)))
    .map((each) => each.outerHTML.slice(0, 160))"""

REACHED = """() => {
    const element = document.activeElement;
    reached.add(element);
    const box = element.getBoundingClientRect();
    const visible = box.right > 0 && box.bottom > 0 && box.left < innerWidth && box.top < innerHeight;
    const outlined = getComputedStyle(element).outlineStyle !== "none";
    return element === document.body || (visible && outlined) ? "" : element.outerHTML.slice(0, 160);
}"""

MOST = 200


async def walk(page: Page) -> list[str]:
    """Once through the page from its top: what isn't reached, and where one wouldn't see that it is."""
    await page.evaluate("() => { window.reached = new Set(); document.activeElement.blur(); }")
    hidden = []
    for _ in range(await page.locator(FOCUSABLE).count()):
        await page.keyboard.press("Tab")
        hidden.append(await page.evaluate(REACHED))
    missed = await page.evaluate(MISSED, FOCUSABLE)
    return [f"not reached: {each}" for each in missed] + [f"not seen: {each}" for each in hidden if each]


async def go_to(page: Page, wanted: Locator, key: str = "Tab") -> None:
    """Press the key until this has the focus."""
    for _ in range(MOST):
        if await wanted.evaluate("(element) => element === document.activeElement"):
            return
        await page.keyboard.press(key)
    raise AssertionError(f"{wanted} is not reached with {key}")
