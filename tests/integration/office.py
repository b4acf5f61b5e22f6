"""A gateway with its console, people who use that in a browser, and a partner's shell with what they hand him."""

import asyncio
import os
import sys
import uuid
from pathlib import Path

from playwright.async_api import Page

from tests.browser.visitors import WAIT_SECONDS
from tests.canary import Canaries
from tests.integration.control_plane import Node
from tests.integration.world import MARKER, Account
from tests.kafka import Cluster
from tests.kafka.distribution import distribution

COMMAND_SECONDS = 60.0

NOTICE_MS = 30_000
"""For what gateways and the cluster have to tell of first."""

COPIED = """async (text) => {
  while ((await navigator.clipboard.readText()) !== text) await new Promise((go) => setTimeout(go, 20));
}"""

BACKING = tuple(f"{MARKER}console-{name}" for name in ("orders", "invoices", "shipments"))


class Office(Node):
    """One gateway, whose console people have open."""

    def __init__(self, kafka: Cluster, canaries: Canaries) -> None:
        super().__init__(kafka, canaries, f"_zonegate-{uuid.uuid4().hex[:8]}", "serve")
        self.kafka = kafka

    def create_topics(self) -> None:
        for name in BACKING:
            self.kafka.create_topic(name, 2)

    def account(self, zone: str, user: str, password: str) -> Account:
        self.canaries.add(f"{zone}:", f"the name of {zone}, another zone", user)
        return Account(self.gateway.bootstrap, zone, user, password)


async def handed_out(page: Page, zone: str, office: Office) -> Account:
    """What a page that shows a new password says of it."""
    texts = [await page.locator(f"#{name}").text_content() for name in ("bootstrap", "account", "password")]
    bootstrap, user, password = (text or "" for text in texts)
    account = office.account(zone, user, password)
    assert bootstrap == account.bootstrap
    return account


async def save(page: Page, file_name: str, folder: Path) -> str:
    """Download one of the page's files. Its text, which is also what is shown and what the button copies."""
    async with page.expect_download() as downloading:
        await page.get_by_role("link", name=f"Download {file_name}").click()
    download = await downloading.value
    assert download.suggested_filename == file_name
    await download.save_as(folder / file_name)
    text = (folder / file_name).read_text(encoding="utf-8")

    card = page.get_by_role("region").filter(has=page.get_by_role("link", name=f"Download {file_name}"))
    assert await card.locator("code").text_content() == text
    await card.get_by_role("button").click()
    await asyncio.wait_for(page.evaluate(COPIED, text), WAIT_SECONDS)
    return text


class Shell:
    """The partner's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._programs = folder / "bin"
        self._programs.mkdir()
        tool = distribution().tool_command("kafka-topics", [])
        self._program("kafka-topics", " ".join(f"'{part}'" for part in tool))
        self._program("python", f"'{sys.executable}'")

    def _program(self, name: str, command: str) -> None:
        script = self._programs / name
        script.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
        script.chmod(0o755)

    async def run(self, line: str, **variables: str) -> str:
        """What it prints; it must succeed."""
        path = f"{self._programs}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {"PATH": path, "HOME": str(self.folder), **variables}
        process = await asyncio.create_subprocess_exec(
            *("bash", "-euo", "pipefail", "-c", line),
            cwd=self.folder,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await asyncio.wait_for(process.communicate(), COMMAND_SECONDS)
        assert process.returncode == 0, f"$ {line}\n{output.decode()}"
        return output.decode()
