"""The original vendor's command-line client, unmodified: fetched by Go once into a cache folder, and run against us."""

import asyncio
import fcntl
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

MODULE = "github.com/conduktor/ctl"
VERSION = "v0.7.1"

VARIABLE = "ZONEGATE_TEST_VENDOR_CLIENT"
"""Names a client that exists already, for machines whose module proxy does not have it."""

RUN_SECONDS = 30
INSTALL_SECONDS = 300


class MissingClient(Exception):
    """There is no client, and none can be fetched: why."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run has printed, and how it ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class VendorClient:
    """The program. It is configured by environment variables, of which it gets no others of its own."""

    path: Path

    async def run(self, *arguments: str, environment: Mapping[str, str]) -> Ran:
        process = await asyncio.create_subprocess_exec(
            self.path,
            *arguments,
            env={"PATH": os.environ.get("PATH", ""), "HOME": "/nonexistent", **environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(RUN_SECONDS):
                out, err = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise
        assert process.returncode is not None
        return Ran(process.returncode, out.decode(), err.decode())


def find_vendor_client() -> VendorClient:
    """The client, fetched first if this is the first time. Raises MissingClient."""
    if given := os.environ.get(VARIABLE):
        return VendorClient(Path(given))
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = caches / "zonegate" / "ctl" / VERSION
    program = folder / "ctl"
    if not program.is_file():
        go = shutil.which("go")
        if go is None:
            raise MissingClient(f"fetching {MODULE} needs Go, and there is no go; or name a client with {VARIABLE}")
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # another run may be fetching it
            if not program.is_file():
                _install(go, folder)
    return VendorClient(program)


def _install(go: str, folder: Path) -> None:
    environment = os.environ | {"GOBIN": str(folder), "GOFLAGS": "-trimpath"}
    command = [go, "install", f"{MODULE}@{VERSION}"]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        raise MissingClient(f"go install {MODULE}@{VERSION} did not end within {INSTALL_SECONDS} s") from None
    if done.returncode != 0:
        raise MissingClient(f"go install {MODULE}@{VERSION} failed: {done.stderr.strip()[-500:]}")


@pytest.fixture(scope="session")
def vendor_client() -> VendorClient:
    try:
        return find_vendor_client()
    except MissingClient as error:
        pytest.skip(str(error))
