"""Figures as the README shows them.

    make bench > figures.jsonl
    python -m tests.benchmarks.table figures.jsonl

writes them into the README, in place of those that are there.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.readme import README, replaced

Line = dict[str, Any]

#: What a figure is called for people; the numbers in its name are put in for the dots.
_NAMES = {
    "drain_events_per_second": "drain, one worker: payments a second",
    "drain_cpu_microseconds_per_event": "CPU while draining: µs a payment",
    "resident_megabytes": "resident memory of that worker: MB",
    "replay_events_per_second": "replay of the log to rebuild state: payments a second",
    "replay_cpu_microseconds_per_event": "CPU while replaying: µs a payment",
    "event_to_score_milliseconds_at_._per_second_p50": (
        "event to score at {} a second: p50, ms"
    ),
    "event_to_score_milliseconds_at_._per_second_p99": "the same: p99, ms",
    "event_to_score_milliseconds_at_._per_second_p99_9": "the same: p99.9, ms",
    "cpu_cores_at_._per_second": "CPU at {} a second: cores",
    "first_score_after_kill_seconds": (
        "from `kill -9` and restart at 2,000 a second to the first score: s"
    ),
    "snapshot_of_._keys_with_._events_pause_milliseconds_longest": (
        "snapshot of {} keys with {} live events each: longest pause, ms"
    ),
    "snapshot_of_._keys_with_._events_pause_milliseconds_p99": "the same: p99, ms",
    "snapshot_of_._keys_with_._events_extra_memory_percent": (
        "memory that the snapshot takes meanwhile: %"
    ),
    "snapshot_of_._keys_with_._events_seconds": "time until it is on disk: s",
    "restore_of_._keys_with_._events_events_per_second": (
        "restore from it: live events a second"
    ),
    "restore_of_._keys_with_._events_keys_per_second": "the same: keys a second",
    "bytes_per_key": "memory of a key: bytes",
    "bytes_per_live_event": "memory of a live event: bytes",
}

_FOOT = (
    "\nLatency runs from the scheduled time of a payment to the moment at which a "
    "`read_committed` reader holds its score.\n"
    "Each run on a broker ended with an audit that found nothing missing, duplicated, "
    "out of order or different.\n"
)

_NUMBER = re.compile(r"(?<=_)\d{2,}(?=_)")


def named(figure: str) -> str:
    """Return a figure's name for people; raises KeyError if it has none."""
    numbers = [f"{int(number):,}" for number in _NUMBER.findall(figure)]
    return _NAMES[_NUMBER.sub(".", figure)].format(*numbers)


def table(lines: Sequence[Line]) -> str:
    """Return the figures as a table, with where and when they were taken."""
    first, last = lines[0], lines[-1]
    arguments = first["arguments"]
    command = f'make bench ARGS="{arguments}"' if arguments else "make bench"
    rows = [
        f"| {named(line['figure'])} | {_short(line['median'])} | "
        f"{_short(line['least'])} | {_short(line['greatest'])} | {len(line['runs'])} |"
        for line in lines
    ]
    head = (
        f"`{command}` at commit `{first['commit']}` on {first['date']}: "
        f"{first['machine']}; broker, sender and reader on the same machine, the "
        "worker on a core of its own, 4 partitions, a model of 100 trees, "
        f"{first['data']}.\n"
        f"The load average was {first['load']:.1f} after the first of these trials and "
        f"{last['load']:.1f} after the last.\n"
    )
    columns = "| figure | median | least | greatest | runs |\n|---|---|---|---|---|"
    return "\n".join([head, columns, *rows, _FOOT])


def _short(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def main(arguments: Sequence[str]) -> None:
    """Write the table of a file of lines into the README."""
    text = Path(arguments[0]).read_text(encoding="utf-8")
    new = table([json.loads(line) for line in text.splitlines()])
    readme = README.read_text(encoding="utf-8")
    README.write_text(replaced(readme, "numbers", new), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
