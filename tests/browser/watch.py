"""Sees what goes wrong on a browser's pages while a test looks at something else.

Nothing is asked of another host, each page has a strict Content-Security-Policy of which no rule is broken, no script
fails, nothing complains on the console, no file is missing, and the server makes no mistake.
"""

from playwright.async_api import BrowserContext, ConsoleMessage, Request, Response, WebError

PAGES = ("document", "fetch")
"""Of requests: their refusals are pages, which tests look at. Anything else must be there."""

ABORTED = "net::ERR_ABORTED"
"""Of a request that the browser gave up itself, because its page was left."""

LOAD_FAILED = "Failed to load resource"
"""What Chromium says on the console of every refusal, once more."""


class Watch:
    """Of all pages of a browser's context."""

    def __init__(self, context: BrowserContext, origin: str) -> None:
        self._origin = origin
        self.complaints: list[str] = []
        context.on("request", self._on_request)
        context.on("requestfailed", self._on_request_failed)
        context.on("response", self._on_response)
        context.on("console", self._on_console)
        context.on("weberror", self._on_error)

    def check(self) -> None:
        assert not self.complaints, "\n".join(self.complaints)

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith((f"{self._origin}/", "data:", "blob:")):
            self.complaints.append(f"asked of another host: {request.url}")

    def _on_request_failed(self, request: Request) -> None:
        if request.failure != ABORTED:
            self.complaints.append(f"{request.failure}: {request.method} {request.url}")

    def _on_response(self, response: Response) -> None:
        is_page = response.request.resource_type in PAGES
        if response.request.resource_type == "document" and response.status // 100 != 3:
            self._check_policy(response)
        if response.status >= 500 or (response.status >= 400 and not is_page):
            self.complaints.append(f"{response.status}: {response.request.method} {response.url}")

    def _check_policy(self, response: Response) -> None:
        policy = response.headers.get("content-security-policy", "")
        if not policy.startswith("default-src 'none'") or "unsafe" in policy:
            self.complaints.append(f"{response.url} has the policy {policy!r}")

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(LOAD_FAILED):
            self.complaints.append(f"{message.type} on the console: {message.text}")

    def _on_error(self, error: WebError) -> None:
        self.complaints.append(f"a script failed: {error.error}")
