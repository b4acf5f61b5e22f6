"""Files that several processes write: one at a time, and whole or not at all."""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """One writer at a time. The folder is locked, because a file itself is replaced by each writer."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def replace(file: Path, text: str, *, durable: bool = True) -> None:
    """The whole new file or the whole old one, whatever happens; readable by its owner only.

    What need not survive a power failure is written without waiting for the disk.
    """
    descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as stream:
            _keep_owner(file, descriptor)
            stream.write(text)
            stream.flush()
            if durable:
                os.fsync(descriptor)
        os.rename(temporary, file)
    except BaseException:
        os.unlink(temporary)
        raise
    if durable:
        _sync_directory(file.parent)


def _keep_owner(file: Path, descriptor: int) -> None:
    """An administrator who adds an entry must not take the file away from the gateway's own user."""
    if not file.exists():
        return
    before = file.stat()
    if before.st_uid != os.fstat(descriptor).st_uid:
        os.fchown(descriptor, before.st_uid, before.st_gid)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
