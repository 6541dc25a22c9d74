"""Figures as the README shows them.

    make bench > figures.jsonl
    python -m tests.benchmarks.table < figures.jsonl

writes all of them into docs/numbers.md, and into the README those that had to reach
something, beside what a loop takes that only copies. What is no line of JSON is passed
over.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.targets import FLOOR, TARGETS
from tests.readme import README, replaced

Line = dict[str, Any]

#: Has all of them.
NUMBERS = README.parent / "docs" / "numbers.md"

#: What a figure is called for people; the numbers in its name are put in for the dots.
_NAMES = {
    "drain_events_per_second": "drain, one worker: payments a second",
    "drain_cpu_microseconds_per_event": "CPU while draining: µs a payment",
    "drain_broker_cpu_cores": "CPU of the broker meanwhile: cores",
    "resident_megabytes": "resident memory of that worker: MB",
    "start_to_first_score_seconds": (
        "from the start of that worker to its first score: s"
    ),
    "replay_events_per_second": "replay of the log to rebuild state: payments a second",
    "replay_cpu_microseconds_per_event": "CPU while replaying: µs a payment",
    "event_to_score_milliseconds_at_._per_second_p50": (
        "event to score at {} a second: p50, ms"
    ),
    "event_to_score_milliseconds_at_._per_second_p99": "the same: p99, ms",
    "event_to_score_milliseconds_at_._per_second_p99_9": "the same: p99.9, ms",
    "cpu_cores_at_._per_second": "CPU at {} a second: cores",
    "share_kept_up_with_at_._per_second": (
        "scores that came for each payment sent at {} a second"
    ),
    "monitoring_percent_of_cpu": "what monitoring adds to the CPU of a payment: %",
    "snapshots_percent_of_cpu": "what snapshots add, one every 2 s: %",
    "monitoring_and_snapshots_percent_of_cpu": "what both add: %",
    "one_worker_drain_events_per_second": (
        "drain by one worker, two cores kept free: payments a second"
    ),
    "two_workers_drain_events_per_second": "the same by two workers",
    "two_workers_drain_broker_cpu_cores": "CPU of the broker meanwhile: cores",
    "two_workers_over_one": "two workers over one",
    "first_score_after_kill_seconds": (
        "from `kill -9` and restart at 2,000 a second to the first score: s"
    ),
    "state_of_._keys_with_._events_gigabytes": (
        "state of {} keys with {} live events each: GB, the process included"
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
    "`read_committed` reader holds its score, on a broker that has been warmed up.\n"
    "Each run of a worker on a broker ended with an audit that found nothing missing, "
    "duplicated, out of order or different.\n"
)

#: What is only in the JSON.
_UNSHOWN = re.compile(
    r"sender_late_milliseconds_.*|cpu_microseconds_per_event_.*|share_kept_up_.*_1000_.*"
    r"|one_worker_drain_(cpu|broker)_.*|two_workers_drain_cpu_.*"
)

#: One row holds all of them.
_STEP = re.compile(r"drain_step_(\w+)_microseconds_per_event")

#: What is said of figures that begin with this.
_PREFIXES = {
    "two_stage_": "two stages: ",
    FLOOR: "a loop that only copies: ",
    "shipped_spec_": "two stages, the shipped spec: ",
}

_BOUNDS = {"at least": "≥", "at most": "≤"}

_NUMBER = re.compile(r"(?<=_)\d{2,}(?=_)")


def named(figure: str) -> str:
    """Return a figure's name for people; raises KeyError if it has none."""
    words, rest = _parted(figure)
    if words:
        return words + named(rest)
    numbers = [f"{int(number):,}" for number in _NUMBER.findall(figure)]
    return _NAMES[_NUMBER.sub(".", figure)].format(*numbers)


def _parted(figure: str) -> tuple[str, str]:
    """Return what is said of a figure's beginning, and the rest."""
    for prefix, words in _PREFIXES.items():
        if figure.startswith(prefix):
            return words, figure.removeprefix(prefix)
    return "", figure


def table(lines: Sequence[Line]) -> str:
    """Return the figures as a table, with where and when they were taken."""
    columns = "| figure | median | least | greatest | runs | to be reached |"
    rule = "|---|---|---|---|---|---|"
    return "\n".join([_head(lines), columns, rule, *_rows(lines), _FOOT])


def short_table(lines: Sequence[Line]) -> str:
    """Return those that had to reach something, beside the loop that only copies."""
    columns = "| figure | median of its runs | to be reached | only copying |"
    medians = {line["figure"]: float(line["median"]) for line in lines}
    rows = []
    for line in lines:
        bounds = _bounds(line["figure"])
        if bounds:
            found = _short(line["median"])
            floor = medians.get(FLOOR + line["figure"])
            beside = "" if floor is None else _short(floor)
            rows.append(f"| {_whole(line['figure'])} | {found} | {bounds} | {beside} |")
    return "\n".join([_head(lines), columns, "|---|---|---|---|", *rows, _FOOT])


def _whole(figure: str) -> str:
    """Return a name that can stand without the row before it."""
    name = named(figure)
    if "the same" in name:
        begin, _, rest = figure.rpartition("_p99")
        name = named(f"{begin}_p50").replace("p50", f"p99{rest}".replace("_", "."))
    return name


def _head(lines: Sequence[Line]) -> str:
    first, last = lines[0], lines[-1]
    arguments = first["arguments"]
    most = max(line["foreign_cores"] for line in lines)
    command = f'make bench ARGS="{arguments}"' if arguments else "make bench"
    return (
        f"`{command}` at commit `{first['commit']}` on {first['date']}: "
        f"{first['machine']}; broker, sender and reader on the same machine, the "
        "worker on a core of its own, 4 partitions, a model of 100 trees, "
        f"{first['data']}.\n"
        f"Others used {most:.2f} of the cores at most; the load average was "
        f"{first['load']:.1f} after the first of these trials and {last['load']:.1f} "
        "after the last.\n"
    )


def _rows(lines: Sequence[Line]) -> Iterator[str]:
    """Yield the rows; the steps of a drain stand in one, after all else of it."""
    steps: list[Line] = []
    for line in lines:
        _, figure = _parted(line["figure"])
        if _STEP.fullmatch(figure):
            steps.append(line)
            continue
        if steps:
            yield _row_of_steps(steps)
            steps = []
        if not _UNSHOWN.fullmatch(figure):
            yield _row(line)
    if steps:
        yield _row_of_steps(steps)


def _row(line: Line) -> str:
    spread = " | ".join(_short(line[name]) for name in ("median", "least", "greatest"))
    name, bounds, runs = named(line["figure"]), _bounds(line["figure"]), line["runs"]
    return f"| {name} | {spread} | {len(runs)} | {bounds} |"


def _bounds(figure: str) -> str:
    """Return what a figure had to reach; nothing where it had not."""
    targets = [target for target in TARGETS if target.figure == figure]
    return " ".join(f"{_BOUNDS[t.bound]} {_short(t.value)}" for t in targets)


def _row_of_steps(lines: Sequence[Line]) -> str:
    figures = [line["figure"] for line in lines]
    prefix, _ = _parted(figures[0])
    found = [_STEP.search(figure) for figure in figures]
    names = " / ".join(step[1] for step in found if step)
    medians = " / ".join(f"{line['median']:.2g}" for line in lines)
    name = f"{prefix}wall time in {names}: µs a payment"
    return f"| {name} | {medians} | | | {len(lines[0]['runs'])} | |"


def _short(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def read(text: str) -> list[Line]:
    """Return the figures in what `make bench` has printed."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def main(arguments: Sequence[str]) -> None:
    """Write the figures of a file, or of what comes in, to where they are read."""
    given = Path(arguments[0]).read_text(encoding="utf-8") if arguments else None
    lines = read(sys.stdin.read() if given is None else given)
    for path, new in ((README, short_table(lines)), (NUMBERS, table(lines))):
        text = path.read_text(encoding="utf-8")
        path.write_text(replaced(text, "numbers", new), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
