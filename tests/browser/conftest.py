"""A console with the sample behind it, and people at browsers."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from controlplane.pages import sign_in
from tests.browser.sample import Sample
from tests.browser.stage import Stage
from tests.unit.controlplane.api.memory_service import KEY

if TYPE_CHECKING:
    from playwright.async_api import Browser

    from tests.browser.visitors import Visitors


@pytest_asyncio.fixture(loop_scope="session")
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setattr(sign_in, "FAILURE_DELAY_SECONDS", 0)
    async with Stage(await Sample.filled()) as stage:
        yield stage


@pytest_asyncio.fixture(loop_scope="session")
async def visitors(chromium: "Browser", stage: Stage) -> AsyncIterator["Visitors"]:
    from tests.browser.visitors import Visitors

    visitors = Visitors(chromium, stage.url, KEY)
    yield visitors
    await visitors.close()
