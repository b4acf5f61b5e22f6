"""The console's pages at an address of their own, with the sample's service behind them."""

from types import TracebackType
from typing import Self

from controlplane.http import AdminServer
from controlplane.pages.app import create_pages
from controlplane.pages.sign_in import Admin
from controlplane.settings_fields import HostPort
from tests.browser.sample import NOW, Sample
from tests.unit.controlplane.api.conftest import Lines
from tests.unit.controlplane.api.memory_service import KEY

ADMIN = Admin("admin", "a-password-of-the-tests")


class Stage:
    """Serves in this event loop. The pages' time stands still."""

    def __init__(self, sample: Sample) -> None:
        pages = create_pages(sample.service, sample.activity, Lines(), KEY, ADMIN, lambda: NOW)
        self.service = sample.service
        self.activity = sample.activity
        self._server = AdminServer(pages, HostPort("127.0.0.1", 0))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.port}"

    async def __aenter__(self) -> Self:
        self._server.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.stop()
