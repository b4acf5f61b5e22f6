"""Where the REST API is and how to sign in to it: the options that all commands share which call it."""

import functools
import inspect
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Concatenate, ParamSpec

import typer

from controlplane.commands.api_error import ApiError
from controlplane.problems import ConfigurationError
from controlplane.terminal import EXIT_CONFIGURATION, EXIT_FAILURE, fail, refuse

if TYPE_CHECKING:
    from controlplane.commands.api import Api

DEFAULT_URL = "http://localhost:8080"
PANEL = "Connection to the API"
KEY_VARIABLES = ("ZONEGATE_API_KEY", "CDK_API_KEY")
"""The key itself is no option: a command line is seen by everybody on the machine."""
CERTIFICATE_VARIABLES = ("CDK_CERT", "CDK_KEY")


@dataclass(frozen=True, slots=True)
class Connection:
    """What the options and the environment say. Nothing is opened, read or complained about before `open`."""

    url: str
    api_key_file: Path | None
    ca: Path | None
    insecure: bool

    def open(self) -> "Api":
        """Ends the command when the API can't be called like this."""
        from controlplane.commands.api import Api

        key, source = self._api_key()
        return Api(_base_url(self.url), key, source, self._tls())

    @property
    def has_api_key(self) -> bool:
        return self.api_key_file is not None or any(os.environ.get(name) for name in KEY_VARIABLES)

    def _api_key(self) -> tuple[str, str]:
        """The key, and where it was found."""
        if self.api_key_file is not None:
            return _read_key(self.api_key_file), str(self.api_key_file)
        for name in KEY_VARIABLES:
            if key := os.environ.get(name, "").strip():
                if not _is_header(key):
                    fail(f"{name} is not an API key; it holds characters that none has", EXIT_CONFIGURATION)
                return key, name
        fail(
            f"there is no API key; set {KEY_VARIABLES[0]} (or {KEY_VARIABLES[1]}), or name a file that holds it: "
            "--api-key-file FILE",
            EXIT_CONFIGURATION,
        )

    def _tls(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.ca)
        except (OSError, ssl.SSLError) as error:
            fail(f"{self.ca} does not hold certificates (PEM): {_why(error)}", EXIT_CONFIGURATION)
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        certificate, key = (os.environ.get(name) for name in CERTIFICATE_VARIABLES)
        if bool(certificate) != bool(key):
            fail(f"set both {' and '.join(CERTIFICATE_VARIABLES)}, or neither", EXIT_CONFIGURATION)
        if certificate and key:
            try:
                context.load_cert_chain(certificate, key)
            except (OSError, ssl.SSLError) as error:
                fail(
                    f"CDK_CERT ({certificate}) and CDK_KEY ({key}) are not a certificate and its key (PEM): "
                    f"{_why(error)}",
                    EXIT_CONFIGURATION,
                )
        return context


_OPTIONS = {
    "url": (
        Annotated[
            str,
            typer.Option(
                "--url",
                envvar=["ZONEGATE_URL", "CDK_BASE_URL"],
                metavar="URL",
                help="Where the API is.",
                rich_help_panel=PANEL,
            ),
        ],
        DEFAULT_URL,
    ),
    "api_key_file": (
        Annotated[
            Path | None,
            typer.Option(
                "--api-key-file",
                metavar="FILE",
                help="Holds the API key; else [bold]ZONEGATE_API_KEY[/bold] does, or [bold]CDK_API_KEY[/bold].",
                rich_help_panel=PANEL,
            ),
        ],
        None,
    ),
    "ca": (
        Annotated[
            Path | None,
            typer.Option(
                "--ca",
                envvar=["ZONEGATE_CA", "CDK_CACERT"],
                metavar="FILE",
                help="Who signed the API's certificate (PEM); without it, the system's authorities.",
                rich_help_panel=PANEL,
            ),
        ],
        None,
    ),
    "insecure": (
        Annotated[
            bool,
            typer.Option(
                "--insecure",
                envvar="CDK_INSECURE",
                help="Don't verify the API's certificate: for trials only.",
                rich_help_panel=PANEL,
            ),
        ],
        False,
    ),
}

P = ParamSpec("P")


def with_connection(command: Callable[Concatenate[Connection, P], None]) -> Callable[..., None]:
    """A command whose first parameter is a Connection gets the options for it, and what goes wrong is told in words."""

    @functools.wraps(command)
    def run(*args: P.args, **options: P.kwargs) -> None:
        connection = Connection(**{name: options.pop(name) for name in _OPTIONS})  # type: ignore[arg-type]
        try:
            command(connection, *args, **options)
        except ConfigurationError as error:
            refuse(error)
        except ApiError as error:
            fail(str(error), EXIT_FAILURE)

    parameters = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
        for name, (annotation, default) in _OPTIONS.items()
    ]
    keyword_only = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
    run.__signature__ = inspect.Signature([*keyword_only, *shared])  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in [*keyword_only, *shared]}
    return run


def _base_url(url: str) -> str:
    """Without what some write behind it: the calls begin with `/api` themselves."""
    if not url.startswith(("http://", "https://")):
        fail(f"{url!r} is not a URL; write for example {DEFAULT_URL} (--url, or ZONEGATE_URL)", EXIT_CONFIGURATION)
    return url.rstrip("/").removesuffix("/api").rstrip("/")


def _read_key(file: Path) -> str:
    try:
        key = file.read_text(encoding="ascii").strip()
    except OSError as error:
        fail(f"{file} cannot be read: {_why(error)}", EXIT_CONFIGURATION)
    except UnicodeDecodeError:
        key = ""
    if not _is_header(key):
        fail(f"{file} does not hold an API key; write it there, on one line", EXIT_CONFIGURATION)
    return key


def _is_header(key: str) -> bool:
    """HTTP would not carry anything else, and a refusal by httpx would show the key."""
    return bool(key) and key.isascii() and key.isprintable() and " " not in key


def _why(error: OSError) -> str:
    return error.strerror or str(error)
