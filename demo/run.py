"""The demo: a broker, live traffic, workers and a view, until an audit ends it.

    python -m demo.run --seconds 60 --rate 500 --workers 1

Whatever it starts is gone afterwards, however it ends.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from demo.kafka_jars import BrokerError, kafka_available, say
from demo.programs import DemoError
from demo.show import show
from demo.signals import Ended, signals
from demo.stack import Options

_MODELS = Path(__file__).resolve().parent.parent / "models"

_TEXT = """examples:
  python -m demo.run                              a minute at 500 records a second
  python -m demo.run --seconds 300 --workers 2    longer, and shared by two workers
  python -m demo.run --rate 3000 --keep           faster; logs and topics stay
  python -m demo.run --broker mock                what it does where Java is missing
  python -m demo.run | tee demo.log               plain lines, for a file

The payments are simulated, and so is their time: after five weeks of history, about a
month passes while you look on. One record in a hundred is broken. The shipped model
knows what a customer did before, and which payments at a terminal were confirmed as
frauds: that is told by labels, seven days after each, so the first frauds at a
compromised terminal look genuine to it.

Ctrl-C ends the traffic early, and the audit follows all the same; SIGTERM ends
everything at once.

The exit code is that of the audit, `fraud-worker verify`: 0 only if every record was
answered, in order, with the right content, and on Kafka exactly once.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; the exit code is that of the audit, or of whoever failed."""
    arguments = _parser().parse_args(argv)
    options = Options(
        seconds=arguments.seconds,
        rate=arguments.rate,
        workers=arguments.workers,
        broker=arguments.broker,
        models=arguments.models,
        seed=arguments.seed,
    )
    if arguments.broker == "auto" and (reason := kafka_available()):
        say(reason)
    with signals() as received:
        try:
            with _scratch(keep=arguments.keep) as directory:
                return show(options, directory, received)
        except DemoError as error:
            say(f"demo: {error}\ndemo: with --keep, all logs stay")
            return error.exit_code
        except BrokerError as error:
            say(f"demo: {error}")
            return 1
        except Ended as ended:
            say(f"demo: ended by {ended}")
            return ended.exit_code


@contextmanager
def _scratch(*, keep: bool) -> Iterator[Path]:
    """Make a directory that is gone at the end, unless it is to be kept."""
    directory = Path(tempfile.mkdtemp(prefix="fraud-demo-"))
    try:
        yield directory
    finally:
        if keep:
            say(f"kept: {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m demo.run",
        description="Score live traffic on a broker of its own, and audit the scores.",
        epilog=_TEXT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--seconds", type=_number(1), default=60, metavar="N", help="default: 60")
    add(
        *("--rate",),
        type=_number(1),
        default=500,
        metavar="N",
        help="records a second (default: 500)",
    )
    add("--workers", type=_whole(1, 32), default=1, metavar="N", help="default: 1")
    add(
        *("--broker",),
        choices=("auto", "kafka", "mock"),
        default="auto",
        help="Apache Kafka, or a mock in memory; by default Kafka where there is Java",
    )
    add(
        *("--models",),
        type=Path,
        default=_MODELS,
        metavar="DIR",
        help="bundles; CURRENT names the one in use (default: those that ship)",
    )
    add("--seed", type=int, default=7, help="of the simulation (default: 7)")
    add("--keep", action="store_true", help="keep logs, topics and payments")
    return parser


def _number(lowest: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        if not lowest <= float(text) <= 1e6:
            raise argparse.ArgumentTypeError(f"{text}: expected {lowest} to 1000000")
        return float(text)

    return number


def _whole(lowest: int, highest: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not lowest <= int(text) <= highest:
            raise argparse.ArgumentTypeError(f"{text}: expected {lowest} to {highest}")
        return int(text)

    return number


if __name__ == "__main__":
    sys.exit(main())
