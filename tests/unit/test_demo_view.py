"""The screen of the demo, line by line, and its plain lines."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from demo.scrape import Scrape, WorkerFigures, figures
from demo.tally import Counts, Flagged, Snapshot
from demo.view import MAX_WIDTH, Scene, clock, flow, plain_line, screen, shortened

REASONS = (
    *("bad_time", "empty", "key_mismatch", "missing_field", "no_key", "not_an_object"),
    *("not_json", "not_utf8", "null_field", "out_of_range", "schema_framing"),
    *("text_empty", "text_too_long", "time_ahead", "time_unit", "time_without_offset"),
    *("tombstone", "too_deep", "too_large", "too_many_decimals", "wrong_type"),
)

FIGURES = WorkerFigures(
    partitions=4,
    commits_a_second=61.6,
    records_a_commit=8.13,
    cpu=0.334,
    memory_megabytes=346.2,
)

SCENE = Scene(
    broker="Apache Kafka, exactly once",
    model="2018-09-16.1",
    phase="00:23 of 01:00",
    workers={"worker-1": FIGURES},
)

LONG_REASON = (
    "number of confirmed frauds of this terminal in 7 days that ended 7 days ago"
)

FRAUD = Flagged(
    *("2026-10-31T16:44:09Z", "2044", "31", 1290.35, 0.99612),
    is_fraud=True,
    reasons=("amount: 1,290.35", "weekend: yes"),
)
FALSE_ALARM = Flagged(
    *("2026-10-31T14:14:00Z", "7", "9856", 55.4, 0.1),
    is_fraud=False,
    reasons=(f"{LONG_REASON}: 12",),
)

BUSY = Snapshot(
    counts=Counts(
        records=11_482,
        labels=94,
        scores=11_380,
        dead_letters=100,
        flagged=8,
        frauds=10,
        caught=6,
    ),
    waiting=2,
    records_a_second=500.3,
    answers_a_second=499.6,
    p50_ms=24.0,
    p99_ms=1_031.0,
    event_time="2026-10-31T16:59:31Z",
    flagged=(FRAUD, FALSE_ALARM),
    reasons={"not_json": 98, "empty": 2},
)

SCREEN = """\
Apache Kafka, exactly once   model 2018-09-16.1                  00:23 of 01:00
───────────────────────────────────────────────────────────────────────────────
records in       500/s     11,482       event to score p50             24 ms
answers out      500/s     11,480       event to score p99          1,031 ms
labels in                      94       simulated time      2026-10-31 16:59
lag                             2

worker           partitions      commits records each          CPU       memory
worker-1                  4         62/s          8.1          33%       346 MB

flagged              8   precision 0.75   recall 0.60   6 of 10 frauds caught
event time           customer  terminal      amount    score   truth
2026-10-31 16:44         2044        31    1,290.35    0.996   fraud
  amount: 1,290.35
2026-10-31 14:14            7      9856       55.40    0.100   genuine
  number of confirmed frauds of this terminal in 7 days that ended 7 days…: 12





dead letters       100
empty 2   not_json 98"""

IDLE = Snapshot(
    counts=Counts(),
    waiting=0,
    records_a_second=0.0,
    answers_a_second=0.0,
    p50_ms=math.nan,
    p99_ms=math.nan,
    event_time="",
    flagged=(),
    reasons={},
)


def lines(
    now: Snapshot, scene: Scene = SCENE, *, width: int = 80, height: int = 24
) -> list[str]:
    shown = screen(now, scene, width=width, height=height).plain.split("\n")
    return [line.rstrip() for line in shown]


def test_the_screen_shows_everything_in_its_place() -> None:
    assert "\n".join(lines(BUSY)).rstrip() == SCREEN


def test_what_is_not_known_yet_is_a_dash() -> None:
    scene = replace(SCENE, workers={"worker-1": None})

    shown = lines(IDLE, scene)

    assert shown[2] == (
        "records in         0/s          0       event to score p50                 -"
    )
    assert shown[8].split() == ["worker-1", "-", "-", "-", "-", "-"]
    assert "precision -   recall -   0 of 0 frauds caught" in shown[10]


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("size", [(80, 24), (100, 30), (200, 60)])
def test_nothing_moves_and_nothing_is_cut_off(
    workers: int, size: tuple[int, int]
) -> None:
    width, height = size
    scene = replace(SCENE, workers={f"worker-{n}": FIGURES for n in range(workers)})
    full = replace(BUSY, reasons=dict.fromkeys(REASONS, 88), flagged=(FRAUD,) * 50)

    busy, idle = (lines(now, scene, width=width, height=height) for now in (full, IDLE))

    assert len(busy) == len(idle) <= max(height, 22 + workers) - 1
    assert max(map(len, busy)) <= min(width - 1, MAX_WIDTH)
    shown = [reason for reason in REASONS if f"{reason} 88" in "   ".join(busy)]
    left = len(REASONS) - len(shown)
    assert (left == 0) is (height == 60)
    assert left == 0 or busy[-1].endswith(f"   and {left} more kinds")


def test_a_larger_terminal_shows_more_flagged_payments() -> None:
    now = replace(BUSY, flagged=(FRAUD,) * 50)

    shown = [
        sum(line.endswith("fraud") for line in lines(now, height=height))
        for height in (10, 24, 30, 100)
    ]

    assert shown == [3, 4, 7, 12]


def test_a_reason_that_is_too_long_keeps_its_value() -> None:
    text = f"{LONG_REASON}: 12"

    assert shortened(text, len(text)) == text
    assert shortened(text, 40) == "number of confirmed frauds of this…: 12"


def test_a_plain_line_says_the_same_in_short() -> None:
    assert plain_line(BUSY, SCENE) == (
        "00:23 of 01:00  in 500/s  out 500/s  event to score p50 24 ms p99 1,031 ms  "
        "lag 2  flagged 8  precision 0.75  recall 0.60  labels 94  "
        "dead letters 100"
    )


def test_a_clock_counts_minutes_and_seconds() -> None:
    assert [clock(seconds) for seconds in (0, 9.99, 61, 3_600)] == [
        *("00:00", "00:09", "01:01", "60:00")
    ]


def test_lines_break_between_items_only() -> None:
    assert list(flow(["one 1", "two 2", "three 3"], 14)) == ["one 1   two 2", "three 3"]
    assert list(flow(["longer than a line", "b"], 5)) == ["longer than a line", "b"]
    assert list(flow([], 5)) == []


METRICS = """\
# TYPE fraud_commits counter
fraud_commits_total 100.0
# TYPE fraud_events_consumed counter
fraud_events_consumed_total{topic="transactions"} 900.0
fraud_events_consumed_total{topic="labels"} 100.0
# TYPE fraud_kafka_assigned_partitions gauge
fraud_kafka_assigned_partitions 8.0
"""


def test_figures_are_what_changed_between_two_scrapes() -> None:
    old = Scrape.of(10.0, METRICS)
    new = Scrape(
        12.0,
        {
            "fraud_commits_total": 220.0,
            "fraud_events_consumed_total": 1_960.0,
            "fraud_kafka_assigned_partitions": 6.0,
            "process_cpu_seconds_total": 0.5,
            "process_resident_memory_bytes": 346e6,
        },
        topics=2,
    )

    assert figures(old, new) == WorkerFigures(
        partitions=3,
        commits_a_second=60.0,
        records_a_commit=8.0,
        cpu=0.25,
        memory_megabytes=346.0,
    )


def test_partitions_are_those_of_the_payments() -> None:
    """A worker has as many of the labels, and of each topic between its stages."""
    told = Scrape.of(10.0, METRICS)

    assert told.topics == 2
    assert figures(told, told).partitions == 4
    assert Scrape.of(10.0, "").topics == 1


def test_a_worker_that_commits_nothing_has_no_mean_batch() -> None:
    idle = Scrape.of(10.0, METRICS)

    assert math.isnan(figures(idle, Scrape(11.0, idle.sums)).records_a_commit)
