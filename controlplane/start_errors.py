"""Why a gateway can't start, and how its processes tell each other: what a worker is told first, and what it says when
it can't do that."""

from collections.abc import Mapping
from dataclasses import astuple
from pathlib import Path as FilePath
from typing import Any

from controlplane.inputs import Sources
from controlplane.problems import ConfigurationError, Problem


class StartError(Exception):
    """The process cannot serve; the message says which address and which setting."""


def begin_message(sources: Sources, workers: int) -> dict[str, Any]:
    return {
        "config": str(sources.config) if sources.config is not None else None,
        "text": sources.text,
        "zones": str(sources.zones) if sources.zones is not None else None,
        "gateway": sources.gateway,
        "workers": workers,
    }


def sources_of(message: Mapping[str, Any]) -> Sources:
    config = FilePath(message["config"]) if message["config"] is not None else None
    zones = FilePath(message["zones"]) if message["zones"] is not None else None
    return Sources(config, message["text"], zones, message["gateway"])


def failure_message(error: ConfigurationError | StartError) -> dict[str, Any]:
    if isinstance(error, ConfigurationError):
        return {"problems": [astuple(problem) for problem in error.problems]}
    return {"message": str(error)}


def failure_of(message: Mapping[str, Any]) -> ConfigurationError | StartError:
    if "problems" in message:
        return ConfigurationError(Problem(*fields) for fields in message["problems"])
    return StartError(message["message"])
