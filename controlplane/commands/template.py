"""`zonegate template`: an example manifest to start from."""

from pathlib import Path
from typing import Annotated

import typer

from controlplane.commands.kinds import KindArgument, check_kind
from controlplane.terminal import EXIT_CONFIGURATION, EXIT_EXISTS, console, fail

HELP = """Print an example manifest, with comments.

It is valid as it is: put in your own names, and apply it. The exit code is 3 when the file exists already; it is never
overwritten.

[bold]Example[/bold]

    zonegate template PartnerZone --all --output zone.yaml
"""

_HEAD = """\
# A partner zone: topics of your Kafka that a partner sees under names of their own.
# Apply it with 'zonegate apply -f FILE', or put it into the folder of 'zonegate serve --zones'.
apiVersion: v2
kind: PartnerZone
metadata:
  # The zone's id: 1 to 63 of a-z, 0-9, '_', '.', '-'. It can't be changed later.
  name: external-partner-zone
"""

_TOPICS = """\
  # What is shared, at least one. 'name' is what the partner sees, 'backingTopic' your own topic, which must exist.
  # Permissions: READ (the default), or WRITE, which includes READ.
  topics:
    - name: topic-a
      backingTopic: kafka-topic-a
      permission: WRITE
"""

REQUIRED = f"""\
{_HEAD}spec:
  # The id of the configured Kafka cluster.
  cluster: partner1
  # The partner's user name; it belongs to this zone only.
  serviceAccount: johndoe
{_TOPICS}"""

ALL = f"""\
{_HEAD}  # Whatever helps you to find it again.
  labels:
    team: payments
spec:
  # The id of the configured Kafka cluster.
  cluster: partner1
  # For people.
  displayName: External Partner Zone
  description: Orders of the shop, for the delivery partner
  url: https://partner1.com
  # How the partner signs in: PLAIN (a password), OAUTHBEARER (a token whose 'sub' is the service account) or MTLS (a
  # certificate that is mapped to it). The service account belongs to this zone only.
  # 'serviceAccount: johndoe' instead of this section is short for PLAIN.
  authenticationMode:
    type: PLAIN
    serviceAccount: johndoe
{_TOPICS}\
    # Two names for one topic are fine, of which one may have WRITE.
    - name: topic-b
      backingTopic: kafka-topic-a
      permission: READ
  # Whom to call.
  partner:
    name: John Doe
    role: Data analyst
    email: johndoe@company.io
    phone: 07827 837 177
  # Of all the zone's connections together. They delay and never refuse; what is left out has no limit.
  trafficControlPolicies:
    # Bytes per second that the partner may write, and read.
    maxProduceRate: 1048576
    maxConsumeRate: 1048576
    # Commits of offsets per minute.
    limitCommitOffset: 600
  # Record headers that are added to what the partner writes, and taken from what it reads.
  headers:
    addOnProduce:
      - key: x-partner
        value: "{{{{user}}}}"
        overrideIfExists: true
    removeOnConsume:
      - keyRegex: ^internal-.*
"""


def template(
    kind: KindArgument,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it there, instead of printing it.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", "-a", help="Every field, not only those that must be.")] = False,
) -> None:
    check_kind(kind)
    text = ALL if everything else REQUIRED
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        with output.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        fail(f"{output} exists already; name another file, or remove it", EXIT_EXISTS)
    except OSError as error:
        fail(f"{output} cannot be written: {error.strerror}", EXIT_CONFIGURATION)
    console().print(f"Wrote {output}.", markup=False)
