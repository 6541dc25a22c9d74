"""Shows a running worker's figures, again and again."""

from __future__ import annotations

import argparse
import sys
import time
from http.client import HTTPException
from urllib.error import URLError
from urllib.request import urlopen

from worker.commands.figures import Told, figures
from worker.config import Settings
from worker.errors import ExitCode, InvalidConfig

HELP = "show a running worker's figures live"

EPILOG = """examples:
  The worker on this machine, until Ctrl-C:
    fraud-worker watch

  Another one, every five seconds; and once, for a note:
    fraud-worker watch http://worker-1:9108 --interval 5
    fraud-worker watch --count 1

Asks the port of the metrics, and nothing else; the worker does not notice. Rates are
those since the last figures. The features named are those that lie furthest from
training since you watch; an alert looks at them over an hour and at what chance
explains, which this does not."""

SETTINGS = ("metrics_port", "log_level")

#: A worker that does not answer for so long is not waited for, seconds.
_PATIENCE_SECONDS = 5.0

#: Bytes of an answer that are read at most.
_MAX_BYTES = 16 << 20

#: Clears a terminal and begins at its top.
_CLEAR = "\x1b[2J\x1b[H"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "url",
        nargs="?",
        help="where the metrics are (default: the port of this machine)",
    )
    parser.add_argument(
        "--interval", type=_seconds, default=1.0, metavar="S", help="default: 1 second"
    )
    parser.add_argument(
        "--count", type=int, metavar="N", help="end after so many figures"
    )


def main(args: argparse.Namespace, settings: Settings) -> int:
    """Run the command."""
    url = (args.url or f"http://127.0.0.1:{settings.metrics_port}").rstrip("/")
    if not url.startswith(("http://", "https://")):
        raise InvalidConfig([f"{url}: must begin with http:// or https://"])
    first = before = _first(url)
    reference = _told(f"{url}/metrics/reference") or Told(0.0, {})
    shown = 0
    while args.count is None or shown < args.count:
        time.sleep(args.interval)
        now = _told(f"{url}/metrics")
        if now is None:
            _show([f"{url} does not answer"])
        else:
            _show(figures(first, before, now, reference))
            before = now
        shown += 1
    return ExitCode.OK


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 3_600:
        raise argparse.ArgumentTypeError("must lie between 0 and 3600 seconds")
    return seconds


def _first(url: str) -> Told:
    told = _told(f"{url}/metrics")
    if told is None or "fraud_model_info" not in told.series:
        raise InvalidConfig(
            [f"{url}/metrics: no worker answers there; see FRAUD_METRICS_ADDRESS"]
        )
    return told


def _told(url: str) -> Told | None:
    """Return what is told there; None where nothing is that could be read."""
    try:
        with urlopen(url, timeout=_PATIENCE_SECONDS) as answer:  # noqa: S310 - checked
            text = answer.read(_MAX_BYTES).decode()
        return Told.of(text, time.monotonic())
    except (URLError, HTTPException, OSError, ValueError):
        return None


def _show(lines: list[str]) -> None:
    begin = _CLEAR if sys.stdout.isatty() else ""
    print(begin + "\n".join(lines) + ("" if begin else "\n"), flush=True)
