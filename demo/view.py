"""How the demo looks: a screen for a terminal, plain lines for anything else.

Pure: it turns what is known into text, and asks nobody. All columns have fixed
widths, so that nothing moves but the figures.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from rich.text import Text

from demo.scrape import WorkerFigures
from demo.tally import Counts, Flagged, Snapshot

#: The screen is no wider: an eye would lose the line.
MAX_WIDTH = 90

#: Fewest and most flagged payments on the screen, and the lines that each takes.
_FEWEST_FLAGGED, _MOST_FLAGGED, _FLAGGED_LINES = 3, 12, 2

#: Lines for the kinds of dead letters, kept free from the start: all of them need six,
#: on a screen that is tall enough.
_KIND_LINES, _MOST_KIND_LINES, _TALL = 1, 6, 36

_LABEL, _HEADING, _GOOD, _BAD = "dim", "bold", "green", "red"


@dataclass(frozen=True, slots=True)
class Scene:
    """What is shown besides the counts.

    Attributes
    ----------
    broker
        What carries the records, and what it guarantees.
    phase
        How far the demo is.
    workers
        By name; None where nothing is known yet.
    """

    broker: str
    model: str
    phase: str
    workers: Mapping[str, WorkerFigures | None]


def screen(now: Snapshot, scene: Scene, *, width: int, height: int) -> Text:
    """Return what fills a terminal of that size, or a part of it."""
    width = min(width - 1, MAX_WIDTH)
    top = [
        _header(scene, width),
        Text("─" * width, _LABEL),
        *_traffic(now),
        Text(),
        *_workers(scene.workers),
        Text(),
        _quality(now.counts),
    ]
    kind_lines = _MOST_KIND_LINES if height >= _TALL else _KIND_LINES
    bottom = [Text(), *_dead_letters(now, width, kind_lines)]
    room = (height - len(top) - len(bottom) - 2) // _FLAGGED_LINES
    shown = min(max(room, _FEWEST_FLAGGED), _MOST_FLAGGED)
    lines = [*top, *_flagged(now.flagged, shown, width), *bottom]
    return Text("\n", no_wrap=True, overflow="crop").join(lines)


def plain_line(now: Snapshot, scene: Scene) -> str:
    """Return one line for a log."""
    counts = now.counts
    parts = (
        scene.phase,
        f"in {now.records_a_second:.0f}/s",
        f"out {now.answers_a_second:.0f}/s",
        f"event to score p50 {_ms(now.p50_ms)} p99 {_ms(now.p99_ms)}",
        f"lag {now.waiting:,}",
        f"flagged {counts.flagged}",
        f"precision {_share(counts.precision)}",
        f"recall {_share(counts.recall)}",
        f"labels {counts.labels}",
        f"dead letters {counts.dead_letters}",
    )
    return "  ".join(parts)


def clock(seconds: float) -> str:
    """Return minutes and seconds."""
    return f"{int(seconds) // 60:02}:{int(seconds) % 60:02}"


def shortened(text: str, width: int) -> str:
    """Return a reason's text, without what is too much of it before its value.

    >>> shortened("mean amount of this customer in 30 days: 57.20", 30)
    'mean amount of this c…: 57.20'
    """
    if len(text) <= width:
        return text
    phrase, _, value = text.rpartition(": ")
    return f"{phrase[: max(0, width - len(value) - 4)].rstrip()}…: {value}"


def flow(items: Iterable[str], width: int) -> Iterator[str]:
    """Yield lines of whole items, no line wider than that if an item can help it."""
    line = ""
    for item in items:
        longer = f"{line}   {item}" if line else item
        if line and len(longer) > width:
            yield line
            longer = item
        line = longer
    if line:
        yield line


def _header(scene: Scene, width: int) -> Text:
    left = f"{scene.broker}   model {scene.model}"
    room = width - len(scene.phase) - 1
    return Text.assemble((f"{left[:room]:<{room}} ", _LABEL), (scene.phase, _HEADING))


def _traffic(now: Snapshot) -> Iterator[Text]:
    """Four lines: what goes in and out on the left, how it is on the right."""
    counts = now.counts
    left = (
        ("records in", f"{now.records_a_second:,.0f}/s", f"{counts.records:,}"),
        ("answers out", f"{now.answers_a_second:,.0f}/s", f"{counts.answers:,}"),
        ("labels in", "", f"{counts.labels:,}"),
        ("lag", "", f"{now.waiting:,}"),
    )
    right = (
        ("event to score p50", _ms(now.p50_ms)),
        ("event to score p99", _ms(now.p99_ms)),
        ("simulated time", minute(now.event_time)),
        ("", ""),
    )
    for (name, rate, count), (other, value) in zip(left, right, strict=True):
        yield Text.assemble(
            (f"{name:<14}", _LABEL),
            f"{rate:>8}{count:>11}",
            (f"{'':7}{other:<20}", _LABEL),
            f"{value:>16}",
        )


def _workers(workers: Mapping[str, WorkerFigures | None]) -> Iterator[Text]:
    heading = ("partitions", "commits", "records each", "CPU", "memory")
    yield Text(f"{'worker':<14}" + "".join(f"{h:>13}" for h in heading), _LABEL)
    for name, worker in workers.items():
        values = ["-"] * len(heading)
        if worker is not None:
            values = [
                f"{worker.partitions}",
                f"{worker.commits_a_second:.0f}/s",
                _number(worker.records_a_commit, ".1f"),
                f"{worker.cpu:.0%}",
                f"{worker.memory_megabytes:.0f} MB",
            ]
        yield Text(f"{name:<14}" + "".join(f"{value:>13}" for value in values))


def _quality(counts: Counts) -> Text:
    return Text.assemble(
        (f"{'flagged':<14}", _HEADING),
        f"{counts.flagged:>8,}",
        ("   precision ", _LABEL),
        _share(counts.precision),
        ("   recall ", _LABEL),
        _share(counts.recall),
        (f"   {counts.caught:,} of {counts.frauds:,} frauds caught", _LABEL),
    )


def _flagged(flagged: tuple[Flagged, ...], count: int, width: int) -> Iterator[Text]:
    """A heading and the lines of exactly so many payments, the latest first."""
    heading = f"{'customer':>10}{'terminal':>10}{'amount':>12}{'score':>9}"
    yield Text(f"{'event time':<19}{heading}   truth", _LABEL)
    for payment in flagged[:count]:
        truth = ("fraud", _GOOD) if payment.is_fraud else ("genuine", _BAD)
        who = f"{payment.customer:>10}{payment.terminal:>10}"
        yield Text.assemble(
            f"{minute(payment.event_time):<19}{who}",
            f"{payment.amount:>12,.2f}{payment.score:>9.3f}   ",
            truth,
        )
        reason = next(iter(payment.reasons), "")
        yield Text(shortened(f"  {reason}", width), _LABEL)
    for _ in range(_FLAGGED_LINES * max(0, count - len(flagged))):
        yield Text()


def _dead_letters(now: Snapshot, width: int, count: int) -> Iterator[Text]:
    """A heading and exactly so many lines of kinds, with as many as they hold."""
    yield Text.assemble(
        (f"{'dead letters':<14}", _HEADING), f"{now.counts.dead_letters:>8,}"
    )
    items = [f"{reason} {number:,}" for reason, number in sorted(now.reasons.items())]
    lines = list(flow(items, width))
    if len(lines) > count:
        lines = _cut(items, width, count)
    lines += [""] * (count - len(lines))
    for line in lines:
        yield Text(line, _LABEL)


def _cut(items: list[str], width: int, count: int) -> list[str]:
    """Return so many lines, of which the last says how many items are not there."""
    for left in range(1, len(items) + 1):
        kept = [*items[: len(items) - left], f"and {left} more kinds"]
        if len(lines := list(flow(kept, width))) <= count:
            return lines
    return [""] * count


def minute(event_time: str) -> str:
    """Return an RFC 3339 time without seconds and zone, for people."""
    return event_time[:16].replace("T", " ")


def _ms(value: float) -> str:
    return _number(value, ",.0f", " ms")


def _share(value: float) -> str:
    return _number(value, ".2f")


def _number(value: float, form: str, unit: str = "") -> str:
    return "-" if math.isnan(value) else f"{value:{form}}{unit}"
