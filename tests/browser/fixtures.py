"""pytest fixtures: one Chromium for the whole test session, in the session's event loop.

Tests that use it run in that loop as well: `pytestmark = pytest.mark.asyncio(loop_scope="session")`.
"""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.browser.chromium import MissingChromium, find_chromium, running_chromium

if TYPE_CHECKING:
    from playwright.async_api import Browser


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator["Browser"]:
    try:
        find_chromium()
    except MissingChromium as error:
        pytest.skip(str(error))
    async with running_chromium() as browser:
        yield browser
