"""Kafka from the command line.

python -m tests.kafka prepare                  fetch Kafka into the cache, or say what is missing
python -m tests.kafka start                    run three brokers until Ctrl-C, and print their addresses
python -m tests.kafka tool NAME -- ARGUMENTS   run one of Kafka's own tools, such as kafka-topics
"""

import argparse
import os
import signal
import sys
from types import FrameType

from tests.kafka import KafkaCluster, MissingRequirement, open_cluster
from tests.kafka.archive import ensure_class_archive
from tests.kafka.distribution import distribution


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.kafka", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("prepare")
    commands.add_parser("start")
    tool = commands.add_parser("tool")
    tool.add_argument("name")
    tool.add_argument("arguments", nargs="*")
    options = parser.parse_args()
    try:
        if options.command == "prepare":
            prepare()
        elif options.command == "start":
            start()
        else:
            run_tool(options.name, options.arguments)
    except (MissingRequirement, ValueError) as problem:
        sys.exit(str(problem))


def prepare() -> None:
    if type(open_cluster()) is KafkaCluster:
        ensure_class_archive()


def start() -> None:
    def end(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, end)
    try:
        with open_cluster() as cluster:
            if isinstance(cluster, KafkaCluster):
                print(f"Logs and data are in {cluster.folder}")
                for broker_id in cluster.broker_ids:
                    print(f"Broker {broker_id} is process {cluster.broker_pid(broker_id)}")
            print(f"Kafka runs; Ctrl-C ends it. Bootstrap servers: {cluster.bootstrap}", flush=True)
            signal.pause()
    except KeyboardInterrupt:
        print("Kafka has ended.", flush=True)


def run_tool(name: str, arguments: list[str]) -> None:
    """Become the tool: its input, output, signals and exit code are then the caller's."""
    command = distribution().tool_command(name, arguments)
    os.execv(command[0], command)  # noqa: S606 - an argument list, and no shell


if __name__ == "__main__":
    main()
