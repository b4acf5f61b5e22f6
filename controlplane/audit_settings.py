"""The section `audit` of the settings: where the audit log goes."""

from pathlib import Path as FilePath
from typing import Annotated, Self

from pydantic import AfterValidator

from controlplane.settings_fields import Section

NONE = "none"
STDOUT = "stdout"


def _check_output(value: str) -> str:
    """A path is told by its slash, so that a misspelt word does not become a file's name."""
    if value in (NONE, STDOUT) or ("/" in value and not value.endswith("/")):
        return value
    raise ValueError(
        f"{value!r} is not an output; write stdout, none, or a file's path with a slash, for example './audit.log'"
    )


class AuditSettings(Section):
    """Standard output by default: the ordinary log goes to standard error, and who watches a gate keeps a record."""

    output: Annotated[str, AfterValidator(_check_output)] = STDOUT

    @property
    def file(self) -> FilePath | None:
        return None if self.output in (NONE, STDOUT) else FilePath(self.output)

    def relative_to(self, folder: FilePath) -> Self:
        """With the path of a file as it is seen from here."""
        return self if self.file is None else self.model_copy(update={"output": str(folder / self.file)})
