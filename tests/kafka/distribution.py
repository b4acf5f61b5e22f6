"""Apache Kafka itself: resolved by Maven once into a cache folder, and run with the JDK's java.

A cache folder is complete or absent: Maven copies into a temporary folder beside it, which is then renamed. Its name
carries a digest of pom.xml, so that a changed POM never meets the jars of an older one.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

POM = Path(__file__).with_name("pom.xml")
LOG4J_CONFIG = Path(__file__).with_name("log4j2.xml")
MINIMUM_JAVA = 17

GET_JAVA = "install one with 'apt-get install openjdk-17-jdk-headless' or 'brew install openjdk', or set JAVA_HOME"
GET_MAVEN = "install it with 'apt-get install maven' or 'brew install maven'"

# The main class behind each of the scripts in the bin folder of Kafka's own distribution.
TOOLS: Mapping[str, str] = {
    "kafka-acls": "org.apache.kafka.tools.AclCommand",
    "kafka-broker-api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
    "kafka-client-metrics": "org.apache.kafka.tools.ClientMetricsCommand",
    "kafka-cluster": "org.apache.kafka.tools.ClusterTool",
    "kafka-configs": "kafka.admin.ConfigCommand",
    "kafka-console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "kafka-console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "kafka-console-share-consumer": "org.apache.kafka.tools.consumer.ConsoleShareConsumer",
    "kafka-consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "kafka-consumer-perf-test": "org.apache.kafka.tools.ConsumerPerformance",
    "kafka-delegation-tokens": "org.apache.kafka.tools.DelegationTokenCommand",
    "kafka-delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
    "kafka-dump-log": "org.apache.kafka.tools.DumpLogSegments",
    "kafka-e2e-latency": "org.apache.kafka.tools.EndToEndLatency",
    "kafka-features": "org.apache.kafka.tools.FeatureCommand",
    "kafka-get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "kafka-groups": "org.apache.kafka.tools.GroupsCommand",
    "kafka-leader-election": "org.apache.kafka.tools.LeaderElectionCommand",
    "kafka-log-dirs": "org.apache.kafka.tools.LogDirsCommand",
    "kafka-metadata-quorum": "org.apache.kafka.tools.MetadataQuorumCommand",
    "kafka-producer-perf-test": "org.apache.kafka.tools.ProducerPerformance",
    "kafka-reassign-partitions": "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
    "kafka-replica-verification": "org.apache.kafka.tools.ReplicaVerificationTool",
    "kafka-share-groups": "org.apache.kafka.tools.consumer.group.ShareGroupCommand",
    "kafka-storage": "kafka.tools.StorageTool",
    "kafka-streams-groups": "org.apache.kafka.tools.streams.StreamsGroupCommand",
    "kafka-topics": "org.apache.kafka.tools.TopicCommand",
    "kafka-transactions": "org.apache.kafka.tools.TransactionsCommand",
    "kafka-verifiable-consumer": "org.apache.kafka.tools.VerifiableConsumer",
    "kafka-verifiable-producer": "org.apache.kafka.tools.VerifiableProducer",
}

QUICK_COMPILER = "-XX:TieredStopAtLevel=1"
"""Only the first of the JVM's two compilers."""

# A tool lives for a second: the quick compiler and the plain collector suit it best.
TOOL_OPTIONS = ("-Xmx256m", "-XX:+UseSerialGC", QUICK_COMPILER)


class MissingRequirement(Exception):
    """This machine lacks a program; the message says which, and how to get it."""


def say(line: str) -> None:
    """Progress, on standard error: standard output belongs to the tools."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


@dataclass(frozen=True, slots=True)
class Distribution:
    """Kafka's jars and the java that runs them."""

    java: Path
    libs: Path
    options: tuple[str, ...] = ()

    def command(self, main_class: str, args: Iterable[str], options: Iterable[str]) -> list[str]:
        return [
            str(self.java),
            *self.options,
            *options,
            f"-Dlog4j2.configurationFile={LOG4J_CONFIG}",
            "-cp",
            f"{self.libs}/*",
            main_class,
            *args,
        ]

    def tool_command(self, tool: str, args: Iterable[str]) -> list[str]:
        if tool not in TOOLS:
            raise ValueError(f"{tool} is none of Kafka's tools; known: {', '.join(TOOLS)}")
        return self.command(TOOLS[tool], args, TOOL_OPTIONS)

    def source_command(self, source: Path, args: Iterable[str]) -> list[str]:
        """A program in one source file, which java compiles itself."""
        return self.command(str(source), args, TOOL_OPTIONS)


def kafka_version() -> str:
    found = re.search(r"<kafka\.version>(.+?)</kafka\.version>", POM.read_text(encoding="utf-8"))
    if found is None:
        raise ValueError(f"{POM}: property kafka.version is missing")
    return found[1]


def find_java() -> Path:
    home = os.environ.get("JAVA_HOME")
    candidate = str(Path(home, "bin", "java")) if home else "java"
    path = shutil.which(candidate)
    if path is None:
        raise MissingRequirement(f"Kafka needs a JDK, {MINIMUM_JAVA} or newer, and there is no {candidate}: {GET_JAVA}")
    shown = subprocess.run([path, "-version"], capture_output=True, text=True, check=False)
    version = re.search(r'version "(\d+)', shown.stderr + shown.stdout)
    if shown.returncode != 0 or version is None:
        raise MissingRequirement(f"'{path} -version' fails, so there is no usable JDK: {GET_JAVA}")
    if int(version[1]) < MINIMUM_JAVA:
        raise MissingRequirement(f"{path} is Java {version[1]}, Kafka needs {MINIMUM_JAVA} or newer: {GET_JAVA}")
    return Path(path)


def cache_folder() -> Path:
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = hashlib.sha256(POM.read_bytes()).hexdigest()[:8]
    return caches / "zonegate" / f"kafka-{kafka_version()}-{digest}"


def distribution() -> Distribution:
    """What is needed to run Kafka, fetched first if this is the first time. Raises MissingRequirement."""
    java = find_java()
    folder = cache_folder()
    if not folder.is_dir():
        under_lock(folder, lambda: _fetch(folder))
    classes = class_archive(java)
    # The archive only saves time: a JVM that cannot use it starts without. It must not say so among a tool's output.
    options = (f"-XX:SharedArchiveFile={classes}", "-Xshare:auto", "-Xlog:disable") if classes.is_file() else ()
    return Distribution(java, folder, options)


def class_archive(java: Path) -> Path:
    """Where archive.py keeps Kafka's classes for this very JVM, ready to be mapped into memory."""
    release = java.resolve().parent.parent / "release"
    digest = hashlib.sha256(release.read_bytes() if release.is_file() else str(java).encode()).hexdigest()[:8]
    folder = cache_folder()
    return folder.with_name(f"{folder.name}-{digest}.jsa")


def under_lock(target: Path, make: Callable[[], None]) -> None:
    """Several runs may want to make a file or folder at the same time: the others wait for the first, and find it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(target.name + ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"Another run is making {target}: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            make()


def _fetch(folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise MissingRequirement(f"fetching Kafka needs Maven, and there is no mvn: {GET_MAVEN}")
    say(f"Fetching Apache Kafka {kafka_version()} with Maven, about 60 MB, once")
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
        target = Path(temporary, "libs")
        command = [
            maven,
            "--batch-mode",
            "--file",
            str(POM),
            "dependency:copy-dependencies",
            f"-DoutputDirectory={target}",
        ]
        _run_with_progress(command)
        target.rename(folder)
    say(f"Apache Kafka {kafka_version()} is in {folder}")


def _run_with_progress(command: list[str]) -> None:
    """Run Maven; one line for each jar that came in, and Maven's own errors when it fails."""
    errors = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout or ():
            jar = re.search(r"(?:Downloaded from|Copying) .*?([^/ ]+\.jar)\b", line)
            if jar is not None:
                say(f"  {jar[1]}")
            elif "[ERROR]" in line:
                errors.append(line.rstrip())
    if process.returncode != 0:
        raise MissingRequirement("Maven could not fetch Kafka:\n" + "\n".join(errors[:5]))
