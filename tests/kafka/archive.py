"""An archive of the classes that Kafka loads, for a quick start of brokers and tools.

A JVM spends most of its start reading and verifying classes. Given an archive of them, a tool runs in half the time or
less, which counts when tests run dozens. The archive is made once for each JVM and Kafka, by watching which classes a
cluster and the usual tools load. It only saves time: everything works without.
"""

import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from tests.kafka.cluster import KafkaCluster
from tests.kafka.distribution import Distribution, class_archive, distribution, say, under_lock


def ensure_class_archive() -> None:
    kafka = distribution()
    archive = class_archive(kafka.java)
    if not archive.exists():
        under_lock(archive, lambda: _make(kafka, archive))


def _make(kafka: Distribution, archive: Path) -> None:
    say("Preparing a quick start of Kafka's brokers and tools, about half a minute, once")
    with tempfile.TemporaryDirectory(prefix=f".{archive.name}.", dir=archive.parent) as temporary:
        folder = Path(temporary)
        _exercise(replace(kafka, options=(f"-XX:DumpLoadedClassList={folder}/%p.classes", "-Xlog:disable")))
        classes = folder / "all"
        classes.write_text("\n".join(_merge(folder.glob("*.classes"))), encoding="utf-8")
        options = ["-Xshare:dump", f"-XX:SharedClassListFile={classes}", f"-XX:SharedArchiveFile={folder}/archive"]
        command = replace(kafka, options=("-Xlog:disable",)).command("", [], options)
        subprocess.run([word for word in command if word], check=True, capture_output=True)
        (folder / "archive").rename(archive)


def _exercise(recording: Distribution) -> None:
    """Do what tests do most, so that the classes for it are loaded."""
    with KafkaCluster(kafka=recording) as cluster:
        cluster.create_topic("topic")
        server = ["--bootstrap-server", cluster.bootstrap]
        reading = ["--topic", "topic", "--from-beginning", "--max-messages", "1", "--group", "group"]
        cluster.run_tool("kafka-topics", [*server, "--describe"])
        cluster.run_tool("kafka-console-producer", [*server, "--topic", "topic"], input="record\n")
        cluster.run_tool("kafka-console-consumer", [*server, *reading])
        cluster.run_tool("kafka-get-offsets", [*server, "--topic", "topic"])
        cluster.run_tool("kafka-consumer-groups", [*server, "--describe", "--group", "group"])
        # Only a JVM that ends in an orderly way leaves a complete list.
        cluster.stop_broker(1)


def _merge(lists: Iterable[Path]) -> list[str]:
    """One list of them all. An id is its own list's, and only classes of other loaders, left out here, need it."""
    lines = {line for path in lists for line in path.read_text(encoding="utf-8").splitlines()}
    return sorted({line.split(" id: ")[0] for line in lines if " source: " not in line and not line.startswith("#")})
