"""When credentials were last used: a file beside the credentials file, which gateways write and the command line reads.

    credentials.yaml.last-used: {"3f0c9a51d2e84b67": "2025-01-27T12:55:05Z"}

Several gateways may share it: whoever writes merges, and the later time stands. It is no more than a help for people:
without it, or when it can't be written, everything else works.
"""

import json
import logging
from collections.abc import Collection, Mapping
from pathlib import Path

from controlplane.atomic_files import locked, replace
from controlplane.times import format_unix_time, parse_time

logger = logging.getLogger("zonegate.credentials")


def last_used_file(credentials_file: Path) -> Path:
    file = credentials_file.resolve()
    return file.with_name(f"{file.name}.last-used")


def read_last_used(credentials_file: Path) -> dict[str, str]:
    """Credential id -> time. What can't be read is nothing."""
    try:
        data = json.loads(last_used_file(credentials_file).read_bytes())
    except (OSError, ValueError):
        return {}
    return {key: text for key, text in data.items() if _is_time(text)} if isinstance(data, dict) else {}


def forget_last_used(credentials_file: Path, ids: Collection[str]) -> None:
    """Drop what is known of revoked credentials. Best effort: it harms nobody."""
    file = last_used_file(credentials_file)
    try:
        with locked(file.parent):
            before = read_last_used(credentials_file)
            after = {key: text for key, text in before.items() if key not in ids}
            if after != before:
                replace(file, json.dumps(after), durable=False)
    except OSError:
        return


class LastUsedWriter:
    """One gateway's hand in the file."""

    def __init__(self, credentials_file: Path) -> None:
        self._credentials_file = credentials_file
        self._written: dict[str, str] = {}
        self._failed = False

    def write(self, times: Mapping[str, float]) -> None:
        """Enter these (credential id -> Unix time), if they are news. Waits for the disk: not for the event loop."""
        known = {key: format_unix_time(seconds) for key, seconds in times.items()}
        if known == self._written:
            return
        file = last_used_file(self._credentials_file)
        try:
            with locked(file.parent):
                merged = read_last_used(self._credentials_file)
                for key, text in known.items():
                    merged[key] = max(text, merged.get(key, ""))
                replace(file, json.dumps(merged), durable=False)
        except OSError as error:
            self._warn(file, error)
            return
        self._written, self._failed = known, False

    def _warn(self, file: Path, error: OSError) -> None:
        if not self._failed:
            self._failed = True
            message = "%s cannot be written (%s); when credentials were last used is in the metrics only"
            logger.warning(message, file, error.strerror, extra={"event": "last_used_not_written"})


def _is_time(text: object) -> bool:
    try:
        return isinstance(text, str) and bool(parse_time(text))
    except ValueError:
        return False
