"""The demo, step by step: what is shown, and what each step must give."""

import re

from tests.demo.screen import INDENT, Screen
from tests.demo.stage import DemoFailed, Output, Stage, has_kcat

ZONE = "external-partner-zone"
TOPIC = "kafka-topic-a"
RECORDS = ["hello", "from", "johndoe"]
GROUP = "analytics"

MANIFEST = """\
apiVersion: v2
kind: PartnerZone
metadata:
  name: external-partner-zone
spec:
  cluster: partner1
  displayName: External Partner Zone
  url: https://partner1.com
  serviceAccount: johndoe
  topics:
    - name: topic-a
      backingTopic: kafka-topic-a
      permission: WRITE
    - name: topic-b
      backingTopic: kafka-topic-a
      permission: READ
  partner:
    name: John Doe
    role: Data analyst
    email: johndoe@company.io
    phone: 07827 837 177
"""

SETTINGS = """\
listen: 127.0.0.1:{bootstrap}
advertised_host: localhost
broker_ports: {{start: {first_broker}, min_broker_id: 1}}
cluster:
  id: partner1
  bootstrap.servers: {company}
admin_listen: 127.0.0.1:{admin}
console: {{listen: "127.0.0.1:{console}"}}
"""

LIMIT = 200_000
LIMITS = f"""\
  trafficControlPolicies:
    maxProduceRate: {LIMIT}
"""

CLIENT = """\
security.protocol=SASL_PLAINTEXT
sasl.mechanism=PLAIN
sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username=johndoe password={password};
"""

KCAT = """\
bootstrap.servers={bootstrap}
security.protocol=SASL_PLAINTEXT
sasl.mechanism=PLAIN
sasl.username=johndoe
sasl.password={password}
"""

METRICS = re.compile(r"zonegate_(alias_record_bytes|refusals|connections_opened|authentication_failures)_total\b")


def tell(stage: Stage, screen: Screen) -> str:
    """All steps; returns the partner's password."""
    screen.title(
        "zonegate: share topics of your Kafka with a partner",
        "Everything runs on this machine, in a temporary folder that is removed at the end.",
    )
    _company(stage, screen)
    _gateway(stage, screen)
    password = _zone(stage, screen)
    _partner_lists(stage, screen, password)
    _partner_writes_and_reads(stage, screen)
    _partner_is_refused(stage, screen)
    _operator(stage, screen)
    _partner_is_throttled(stage, screen)
    return password


def _company(stage: Stage, screen: Screen) -> None:
    screen.step("The company's Kafka", "It holds the topic that is to be shared.")
    stage.start_kafka()
    output = stage.run(
        f"kafka-topics --bootstrap-server {stage.company_bootstrap} --create --topic {TOPIC} "
        "--partitions 3 --replication-factor 3"
    )
    _expect(screen, output, output.code == 0, f"the topic {TOPIC} is created")
    screen.output(output.out)


def _gateway(stage: Stage, screen: Screen) -> None:
    screen.step(
        "The gateway",
        "It stands between the partner and the company's Kafka. What it is to serve is kept in a topic there, and\n"
        "managed through its REST API, which has a key.",
    )
    ports = stage.ports
    settings = SETTINGS.format(
        bootstrap=ports.bootstrap,
        first_broker=ports.first_broker,
        admin=ports.admin,
        console=ports.console,
        company=stage.kafka.bootstrap,
    )
    (stage.folder / "zonegate.yaml").write_text(settings, encoding="utf-8")
    screen.file("zonegate.yaml", settings, "yaml")
    lines = [f"export {name}={value}" for name, value in stage.variables.items()]
    screen.file("environment", "\n".join([*lines, "export ZONEGATE_CONSOLE_API_KEY=$ZONEGATE_API_KEY", ""]), "bash")
    (stage.folder / "environment").write_text("\n".join([*lines, ""]), encoding="utf-8")
    stage.start_gateway("zonegate serve --config zonegate.yaml")


def _zone(stage: Stage, screen: Screen) -> str:
    screen.step(
        "The partner zone",
        "A manifest says what the partner gets: one topic under two names, one of them to write to.",
    )
    (stage.folder / "pz.yaml").write_text(MANIFEST, encoding="utf-8")
    screen.file("pz.yaml", MANIFEST, "yaml")
    output = stage.run("zonegate apply -f pz.yaml --wait")
    screen.output(output.out)
    _expect(screen, output, f"PartnerZone/{ZONE}: Created" in output.out, "the zone is created")
    output = stage.run("zonegate get PartnerZone -o table")
    screen.output(output.out)
    _expect(screen, output, output.code == 0 and "READY" in output.out, "the zone is READY")
    screen.say(f"\n{INDENT}The partner needs a password; only a hash of it is kept.")
    output = stage.run(f"zonegate credentials generate {ZONE}")
    password = output.out.strip()
    _expect(screen, output, output.code == 0 and len(password) >= 32, "a password is printed")
    screen.output(output.out)
    screen.output(output.err, "dim")
    return password


def _partner_lists(stage: Stage, screen: Screen, password: str) -> None:
    screen.step("What the partner sees", "This file, and the address, are all that the partner is given.")
    text = CLIENT.format(password=password)
    (stage.folder / "config.properties").write_text(text, encoding="utf-8")
    screen.file("config.properties", text, "properties")
    output = stage.run(_partner(stage, "kafka-topics", "--list"))
    screen.output(output.out)
    _expect(screen, output, output.out.split() == ["topic-a", "topic-b"], "topic-a and topic-b are listed")
    screen.checked("An ordinary Kafka, it seems, with two topics and nothing else.")


def _partner_writes_and_reads(stage: Stage, screen: Screen) -> None:
    screen.step("Write and read", "What is written to topic-a can be read from both names: they are one topic.")
    text = "".join(f"{record}\\n" for record in RECORDS)
    output = stage.run(f"printf '{text}' | {_partner(stage, 'kafka-console-producer', '--topic topic-a')}")
    screen.output(output.out)
    _expect(screen, output, output.code == 0 and "ERROR" not in output.err, "three records are written to topic-a")
    for topic in ("topic-a", "topic-b"):
        options = f"--topic {topic} --group {GROUP} --from-beginning --max-messages {len(RECORDS)}"
        output = stage.run(_partner(stage, "kafka-console-consumer", options))
        screen.output(output.out)
        screen.output("\n".join(re.findall("^Processed.*", output.err, re.MULTILINE)), "dim")
        read = sorted(output.out.splitlines())
        _expect(screen, output, read == sorted(RECORDS), f"the {len(RECORDS)} records are read from {topic}")
    screen.checked("Three records in, the same three under either name.")


def _partner_is_refused(stage: Stage, screen: Screen) -> None:
    screen.step("A refused write", "The partner may read topic-b, and no more. Kafka's own error says so.")
    output = stage.run(f"echo intruder | {_partner(stage, 'kafka-console-producer', '--topic topic-b')}")
    found = re.search(r"^org\S+TopicAuthorizationException: .*topic-b.*$", output.out + output.err, re.MULTILINE)
    _expect(screen, output, found, "the write to topic-b is refused with a TopicAuthorizationException")
    if found:
        screen.output(found[0], "yellow")


def _operator(stage: Stage, screen: Screen) -> None:
    server = f"--bootstrap-server {stage.company_bootstrap}"
    screen.step(
        "What the operator sees",
        "On the company's own cluster: no copy of any record, nothing of the refused write,\n"
        "and the partner's group marked with its zone.",
    )
    output = stage.run(f"kafka-get-offsets {server} --topic {TOPIC}")
    screen.output(output.out)
    count = sum(int(line.rpartition(":")[2]) for line in output.out.split())
    _expect(screen, output, count == len(RECORDS), f"the end offsets of {TOPIC} add up to {len(RECORDS)} records")
    output = stage.run(f"kafka-consumer-groups {server} --list")
    screen.output(output.out)
    _expect(screen, output, f"{ZONE}:{GROUP}" in output.out.split(), f"there is a group {ZONE}:{GROUP}")
    screen.say(f"\n{INDENT}Some of the metrics at http://localhost:{stage.ports.admin}/metrics:")
    metrics = [line for line in stage.get("/metrics").splitlines() if METRICS.match(line)]
    screen.output("\n".join(metrics))
    _expect_metric(metrics, f'alias_record_bytes_total{{alias="topic-a",api="produce",zone="{ZONE}"}}')
    _expect_metric(metrics, f'alias_record_bytes_total{{alias="topic-b",api="fetch",zone="{ZONE}"}}')
    _expect_metric(metrics, "refusals_total{")


def _partner_is_throttled(stage: Stage, screen: Screen) -> None:
    screen.step(
        "A limit",
        f"The company lets the partner write {LIMIT // 1000} kB a second.\n"
        "No request fails: the producer is told how long to wait.",
    )
    (stage.folder / "pz.yaml").write_text(MANIFEST + LIMITS, encoding="utf-8")
    screen.file("pz.yaml (added at its end)", LIMITS, "yaml")
    output = stage.run("zonegate apply -f pz.yaml --diff --wait")
    screen.output(output.out)
    _expect(screen, output, f"PartnerZone/{ZONE}: Updated" in output.out, "the zone is updated")
    options = "--topic topic-a --num-records 1000 --record-size 1000 --throughput -1 --print-metrics"
    output = stage.run(_partner(stage, "kafka-producer-perf-test", options))
    found = re.search(r"^1000 records sent.*\(([\d.]+) MB/sec\)", output.out, re.MULTILINE)
    told = re.search(r"produce-throttle-time-avg:\S* *: *([\d.]+)", output.out)
    screen.output("\n".join(match[0] for match in (found, told) if match))
    held = found is not None and float(found[1]) * (1 << 20) < 1.5 * LIMIT
    _expect(screen, output, held, f"1000 records of 1 kB at about {LIMIT} bytes a second")
    _expect(screen, output, told is not None and float(told[1]) > 0, "the producer was told to wait")
    screen.checked("A megabyte, at the pace that the company allows, and every record is there.")


def invite(stage: Stage, screen: Screen, password: str) -> None:
    """How to go on in a terminal of one's own."""
    screen.rule()
    screen.say("\nNow it is your turn. Gateway and Kafka stay up. In another terminal:\n")
    lines = [
        f'cd {stage.folder} && export PATH="$PWD/bin:$PATH" && . ./environment',
        "",
        _partner(stage, "kafka-topics", "--list"),
        _partner(stage, "kafka-console-producer", "--topic topic-a"),
        _partner(stage, "kafka-console-consumer", "--topic topic-b --from-beginning"),
    ]
    if has_kcat():
        (stage.folder / "kcat.conf").write_text(
            KCAT.format(bootstrap=stage.bootstrap, password=password), encoding="utf-8"
        )
        lines.append("kcat -F kcat.conf -L")
    screen.output("\n".join(lines), "bold")
    screen.say("\nOr change what the partner has; the gateway follows within a second:\n")
    screen.output(
        "${EDITOR:-vi} pz.yaml && zonegate apply -f pz.yaml --diff --wait\n"
        "zonegate status\n"
        f"zonegate explain {ZONE} --api Produce --alias topic-b\n"
        f"zonegate delete PartnerZone {ZONE}",
        "bold",
    )
    screen.say("\nOr in a browser, in the web console:\n")
    screen.output(f"http://localhost:{stage.ports.console}    (API key: {stage.api_key})", "bold")
    screen.say("\nCtrl-C here ends everything and removes the folder.")


def _partner(stage: Stage, tool: str, options: str) -> str:
    """A command line as a partner types it."""
    return f"{tool} --bootstrap-server {stage.bootstrap} {options} --command-config config.properties"


def _expect(screen: Screen, output: Output, as_expected: object, what: str) -> None:
    if not as_expected:
        screen.output(output.out + output.err, "red")
        raise DemoFailed(f"Expected: {what}. The command's output is above.")


def _expect_metric(metrics: list[str], prefix: str) -> None:
    values = [float(line.rpartition(" ")[2]) for line in metrics if line.startswith(f"zonegate_{prefix}")]
    if not any(value > 0 for value in values):
        raise DemoFailed(f"Expected: the metric zonegate_{prefix} is above 0. The metrics are above.")
