"""`zonegate explain`: what a zone's partner may do, and why."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from controlplane.commands.connection import Connection, with_connection
from controlplane.commands.output import Cell, out, print_fields, print_table
from controlplane.problems import did_you_mean
from controlplane.terminal import EXIT_CONFIGURATION, EXIT_FAILURE, fail

if TYPE_CHECKING:
    from controlplane.partner_zone import PartnerZone
    from policies.zone import Alias, ZoneRules

HELP = """Say what becomes of a Kafka request in a zone, and why.

Allowed or refused, by which permission, with which error; which limit holds it; what your cluster sees of it. Without
[bold]--api[/bold], a table of all of Kafka's APIs. The answers come from the table that the gateway itself works by;
the zone is the stored one, or with [bold]--file[/bold] one that is not applied yet.

[bold]Example[/bold]

    zonegate explain external-partner-zone --api Produce --alias topic-b

    zonegate explain external-partner-zone --file zone.yaml
"""

STYLES = {"allowed": "green", "partly": "yellow", "refused": "red", "hidden": "dim", "closed": "dim"}


@with_connection
def explain(
    connection: Connection,
    zone: Annotated[str, typer.Argument(metavar="ZONE", help="The zone's name (metadata.name).")],
    api: Annotated[
        str | None, typer.Option("--api", metavar="NAME", help="Of Kafka's protocol: Produce, or its key, 0.")
    ] = None,
    alias: Annotated[str | None, typer.Option("--alias", metavar="NAME", help="What the partner calls the topic.")] = (
        None
    ),
    file: Annotated[
        str | None, typer.Option("--file", metavar="FILE|DIR", help="Manifests; without it, the API is asked.")
    ] = None,
) -> None:
    from policies.zone import ZoneRules

    resource = _from_file(file, zone) if file is not None else _from_api(connection, zone)
    rules = ZoneRules(resource.to_zone())
    meant = _alias(rules, alias) if alias is not None else None
    if api is None:
        _print_all(rules, meant)
    else:
        _print_one(_api_key(api), rules, meant)


def _print_all(rules: "ZoneRules", alias: "Alias | None") -> None:
    from controlplane.commands.explanations import all_apis, decide, entry_of, first_error, remark

    rows: list[tuple[Cell, ...]] = []
    for name, key in sorted(all_apis().items(), key=lambda item: item[1]):
        entry = entry_of(key)
        verdict = decide(entry, rules, alias)
        answer = "-" if verdict.served else first_error(entry)
        # what no zone may is a matter of the API, not of this zone
        why = verdict.why if verdict.served or entry.needs != "-" else remark(entry)
        rows.append((str(key), name, Text(verdict.word, STYLES[verdict.word]), answer, why))
    print_table(("KEY", "API", "DECISION", "ANSWER", "NOTE"), rows)


def _print_one(key: int, rules: "ZoneRules", alias: "Alias | None") -> None:
    from controlplane.commands.explanations import describe, entry_of
    from proxy.apis.coverage import api_name

    about = f"{api_name(key)} (API {key})" + (f" on {alias.name}" if alias is not None else "")
    out().print(Text(f"{about} in zone {rules.name}, user {rules.service_account}", "bold"))
    fields = dict(describe(entry_of(key), rules, alias))
    word = fields["decision"].partition(":")[0]
    print_fields((name, Text(text, STYLES[word]) if name == "decision" else text) for name, text in fields.items())


def _from_file(file: str, name: str) -> "PartnerZone":
    from controlplane.commands.manifest_sources import find_zone, read_manifests

    return find_zone(name, [manifest.resource for manifest in read_manifests([file], False, False)])


def _from_api(connection: Connection, name: str) -> "PartnerZone":
    from pydantic import ValidationError

    from controlplane.partner_zone import PartnerZone

    with connection.open() as api:
        stored = api.zone(name)
    try:
        return PartnerZone.model_validate(stored)
    except ValidationError:
        fail("the API's zone has fields that this version does not know; use the server's version", EXIT_FAILURE)


def _alias(rules: "ZoneRules", name: str) -> "Alias":
    if (found := rules.alias(name)) is not None:
        return found
    aliases = [alias.name for alias in rules.aliases]
    meant = did_you_mean(name, aliases)
    hint = f"did you mean {meant}?" if meant else f"its aliases are: {', '.join(aliases)}"
    fail(f"zone {rules.name!r} has no alias {name!r}; {hint}", EXIT_CONFIGURATION)


def _api_key(text: str) -> int:
    from controlplane.commands.explanations import all_apis

    apis = all_apis()
    plain = text.lower().replace("_", "").replace("-", "")
    for name, key in apis.items():
        if plain in (name.lower(), str(key)):
            return key
    meant = did_you_mean(text, apis, cutoff=0.6)
    hint = f"did you mean {meant}?" if meant else "'zonegate explain ZONE' shows all"
    fail(f"Kafka has no API {text!r}; {hint}", EXIT_CONFIGURATION)
