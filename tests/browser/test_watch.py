"""Whether what must not happen on a page is seen, and what is skipped aloud."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser import chromium as programs
from tests.browser.accessibility import look_at
from tests.browser.watch import Watch

if TYPE_CHECKING:
    from playwright.async_api import Browser, Route

HERE = "http://127.0.0.1:9"

BAD_PAGE = """<!doctype html><html><title>bad</title><body>
<img src="http://elsewhere.example/a.png"><img src="/missing.png">
<p style="color: #ddd; width: 2000px">hardly legible</p>
<script>console.error("oh")</script><script src="/broken.js"></script>"""

POLICY = "default-src 'self' http://elsewhere.example; script-src 'self'; style-src 'unsafe-inline'"


async def _answer(route: "Route") -> None:
    path = route.request.url.removeprefix(HERE)
    if path == "/":
        await route.fulfill(body=BAD_PAGE, headers={"content-type": "text/html", "content-security-policy": POLICY})
    elif path == "/broken.js":
        await route.fulfill(body="console.warn('hm'); nothing.at.all", content_type="text/javascript")
    elif path == "/mistake":
        await route.fulfill(status=503, body="sorry")
    elif path == "/refusal":
        await route.fulfill(status=403, body="no", headers={"content-security-policy": "default-src 'none'"})
    elif route.request.url.startswith(HERE):
        await route.fulfill(status=404, body="")
    else:
        await route.continue_()


@pytest.mark.asyncio(loop_scope="session")
async def test_whatever_goes_wrong_on_a_page_is_seen(chromium: "Browser") -> None:
    context = await chromium.new_context()
    watch = Watch(context, HERE)
    await context.route("**", _answer)
    page = await context.new_page()
    await page.goto(f"{HERE}/refusal")
    watch.check()
    await page.goto(f"{HERE}/")
    findings = await look_at(page)
    await page.goto(f"{HERE}/mistake")
    await context.close()

    seen = "\n".join(watch.complaints)
    assert "asked of another host: http://elsewhere.example/a.png" in seen
    assert "net::ERR_NAME_NOT_RESOLVED" in seen
    assert f"404: GET {HERE}/missing.png" in seen
    assert f"{HERE}/ has the policy" in seen
    assert "violates the following Content Security Policy directive" in seen
    assert "warning on the console: hm" in seen
    assert "nothing is not defined" in seen
    assert f"503: GET {HERE}/mistake" in seen
    assert any("color-contrast" in each for each in findings)
    assert any("image-alt (critical)" in each for each in findings)
    assert any("has to be scrolled sideways" in each for each in findings)


def test_another_chromium_may_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(programs.VARIABLE, raising=False)
    with pytest.raises(programs.MissingChromium, match="apt-get install chromium"):
        programs.find_chromium()
    mine = tmp_path / "chromium"
    monkeypatch.setenv(programs.VARIABLE, str(mine))
    with pytest.raises(FileNotFoundError, match=str(mine)):
        programs.find_chromium()
    mine.touch(0o755)
    assert programs.find_chromium() == mine
