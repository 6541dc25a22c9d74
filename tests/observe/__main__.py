"""Shows on this machine what an engineer on call would see, and holds it to numpy.

    make observe
    make observe ARGS="--faster 120"

Kafka, a worker and Prometheus run as processes of their own, under live traffic of two
producers. Everything takes a sixtieth of the time that it takes in operation. Then the
amounts shift, one producer drops a field, and the worker stops: each time these alerts
must fire that are about it, and no other.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from demo.broker import KafkaBroker, kafka_available
from tests.observe.prometheus import unavailable
from tests.observe.scene import observe


def main() -> int:
    """Play the scene; 0 if all was as it should be."""
    parser = argparse.ArgumentParser(prog="make observe")
    parser.add_argument(
        "--faster",
        type=int,
        default=60,
        metavar="N",
        help="an hour takes 60/N minutes (default: 60; a slow machine may need less)",
    )
    parser.add_argument("--rate", type=int, default=500, help="payments a second")
    arguments = parser.parse_args()
    if reason := kafka_available() or unavailable():
        print(reason, file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="fraud-observe-") as name:
        directory = Path(name)
        with KafkaBroker(directory / "kafka") as kafka:
            problems = observe(
                kafka, directory, factor=arguments.faster, rate=arguments.rate
            )
    for problem in problems:
        print(f"FAILED: {problem}")
    print("observed: FAILED" if problems else "observed: all as it should be")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
