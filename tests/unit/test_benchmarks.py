"""How the figures of the benchmarks are shown."""

from __future__ import annotations

import pytest

from tests.benchmarks.table import named, table


def line(figure: str, *runs: float) -> dict[str, object]:
    return {
        "figure": figure,
        "median": sorted(runs)[len(runs) // 2],
        "least": min(runs),
        "greatest": max(runs),
        "runs": list(runs),
        "arguments": "--runs 3",
        "load": 1.25,
        "data": "simulated payments",
        "machine": "a machine",
        "commit": "abc",
        "date": "2018-05-10",
    }


def test_the_numbers_in_a_figure_stand_in_its_name() -> None:
    figure = "snapshot_of_1000000_keys_with_60_events_pause_milliseconds_longest"

    assert named(figure) == (
        "snapshot of 1,000,000 keys with 60 live events each: longest pause, ms"
    )


def test_a_figure_without_a_name_is_refused() -> None:
    with pytest.raises(KeyError):
        named("mood_of_the_machine")


def test_each_figure_is_a_row_with_its_spread_and_its_runs() -> None:
    lines = [
        line("drain_events_per_second", 98274.2, 83228.0, 64123.4),
        line("cpu_cores_at_1000_per_second", 0.1824),
    ]

    assert table(lines).startswith('`make bench ARGS="--runs 3"` at commit `abc` on ')
    rows = [row for row in table(lines).splitlines() if row.startswith("| ")]
    assert rows[1:] == [
        "| drain, one worker: payments a second | 83,228 | 64,123 | 98,274 | 3 |",
        "| CPU at 1,000 a second: cores | 0.182 | 0.182 | 0.182 | 1 |",
    ]
