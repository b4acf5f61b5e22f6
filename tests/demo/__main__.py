"""python -m tests.demo [--once] [--port PORT]

Shows the zone of the guide at work. Exit code 0 means that every step came out as expected and that nothing is left
running; without --once, gateway and Kafka first stay up until Ctrl-C.
"""

import argparse
import signal
import sys
from types import FrameType

from tests.demo.screen import Screen
from tests.demo.stage import DEFAULT_PORT, MAX_PORT, MIN_PORT, DemoFailed, Ports, Stage
from tests.demo.story import invite, tell
from tests.kafka import MissingRequirement
from tests.kafka.cluster import KafkaStartError

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = 130
"""What shells report of a program that Ctrl-C has ended."""


def main() -> int:
    options = _options()
    for ending in ENDINGS:
        signal.signal(ending, _interrupt)
    screen = Screen()
    told = False
    try:
        with Stage(Ports(options.port), screen) as stage:
            password = tell(stage, screen)
            told = True
            if not options.once:
                invite(stage, screen, password)
                stage.stay()
    except (DemoFailed, KafkaStartError, MissingRequirement, TimeoutError) as problem:
        screen.failed(str(problem))
        return 1
    except KeyboardInterrupt:
        screen.say("\nEverything has ended, and nothing is left behind.")
        return 0 if told else INTERRUPTED
    screen.say("\nEverything came out as expected. Gateway and Kafka have ended, and nothing is left behind.")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description="Show a partner zone at work on a real Kafka.")
    parser.add_argument("--once", action="store_true", help="end after the last step instead of staying up")
    parser.add_argument(
        "--port",
        type=_port,
        default=DEFAULT_PORT,
        help=f"first of the gateway's four ports, {DEFAULT_PORT} unless told; the one for metrics moves along",
    )
    return parser.parse_args()


def _port(text: str) -> int:
    if text.isdigit() and MIN_PORT <= int(text) <= MAX_PORT:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text} is not possible; use a number between {MIN_PORT} and {MAX_PORT}")


def _interrupt(number: int, frame: FrameType | None) -> None:
    for ending in ENDINGS:
        signal.signal(ending, signal.SIG_IGN)  # once is enough: the rest is cleaning up
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
