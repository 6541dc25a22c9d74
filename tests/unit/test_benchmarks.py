"""How the figures of the benchmarks are made, shown, and held to their targets."""

from __future__ import annotations

import inspect
import json
import types
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from tests.benchmarks import plots
from tests.benchmarks.capacity import Measured, capacity
from tests.benchmarks.curve_program import Payments
from tests.benchmarks.curves import ratios
from tests.benchmarks.flame import flame_graph, main_thread
from tests.benchmarks.points import CURVES, Point
from tests.benchmarks.silent import SilentReport, silence
from tests.benchmarks.steps import steps_of
from tests.benchmarks.table import named, read, short_table, table
from tests.benchmarks.targets import (
    FLOOR,
    TARGETS,
    Target,
    beside_floor,
    far_off,
    judge,
)
from tests.benchmarks.trials import _kept_up
from worker.commands import run
from worker.features import FeatureTransform
from worker.loop import Report
from worker.metrics import MetricStore
from worker.metrics import catalogue as names


def line(figure: str, *runs: float) -> dict[str, object]:
    return {
        "figure": figure,
        "median": sorted(runs)[len(runs) // 2],
        "least": min(runs),
        "greatest": max(runs),
        "runs": list(runs),
        "arguments": "--runs 3",
        "foreign_cores": 0.04,
        "load": 1.25,
        "data": "simulated payments",
        "machine": "a machine",
        "commit": "abc",
        "date": "2018-05-10",
    }


# The table


def test_the_numbers_in_a_figure_stand_in_its_name() -> None:
    figure = "snapshot_of_1000000_keys_with_60_events_pause_milliseconds_longest"

    assert named(figure) == (
        "snapshot of 1,000,000 keys with 60 live events each: longest pause, ms"
    )


def test_a_figure_of_two_stages_has_the_name_of_that_of_one() -> None:
    figure = "two_stage_cpu_cores_at_1000_per_second"

    assert named(figure) == "two stages: CPU at 1,000 a second: cores"


def test_a_figure_without_a_name_is_refused() -> None:
    with pytest.raises(KeyError):
        named("mood_of_the_machine")


def test_each_figure_is_a_row_with_its_spread_its_runs_and_its_target() -> None:
    lines = [
        line("drain_events_per_second", 98274.2, 83228.0, 64123.4),
        line("cpu_cores_at_1000_per_second", 0.1824),
        line("replay_events_per_second", 400_000),
    ]

    assert table(lines).startswith('`make bench ARGS="--runs 3"` at commit `abc` on ')
    rows = [row for row in table(lines).splitlines() if row.startswith("| ")]
    assert rows[1:] == [
        (
            "| drain, one worker: payments a second "
            "| 83,228 | 64,123 | 98,274 | 3 | ≥ 150,000 |"
        ),
        "| CPU at 1,000 a second: cores | 0.182 | 0.182 | 0.182 | 1 | ≤ 0.35 |",
        (
            "| replay of the log to rebuild state: payments a second "
            "| 400,000 | 400,000 | 400,000 | 1 |  |"
        ),
    ]


def test_the_short_table_has_what_must_reach_something_beside_mere_copying() -> None:
    p99 = "event_to_score_milliseconds_at_1000_per_second_p99_9"
    lines = [
        line("drain_cpu_microseconds_per_event", 5.7),
        line(p99, 48.5),
        line(FLOOR + p99, 46.0),
        line(f"two_stage_{p99.removesuffix('_9')}", 56.0),
    ]

    rows = [row for row in short_table(lines).splitlines() if row.startswith("| ")][1:]
    assert rows == [
        "| event to score at 1,000 a second: p99.9, ms | 48.5 | ≤ 60 | 46 |",
        "| two stages: event to score at 1,000 a second: p99, ms | 56 | ≤ 60 |  |",
    ]


def test_the_steps_of_a_drain_share_a_row() -> None:
    lines = [
        line("two_stage_drain_step_decode_microseconds_per_event", 0.853),
        line("two_stage_drain_step_rest_microseconds_per_event", 1.2),
        line("bytes_per_key", 156),
    ]

    rows = [row for row in table(lines).splitlines() if row.startswith("| ")][1:]
    assert rows[0] == (
        "| two stages: wall time in decode / rest: µs a payment "
        "| 0.85 / 1.2 | | | 1 | |"
    )
    assert rows[1].startswith("| memory of a key: bytes | 156 |")


def test_what_is_printed_beside_the_figures_is_passed_over() -> None:
    one = line("bytes_per_key", 156)

    assert read(f"\n{json.dumps(one)}\n\ntargets:\nbytes 156 met\n") == [one]


# Targets


def test_what_is_to_be_reached_has_a_name_in_the_table() -> None:
    shown = [t.figure for t in TARGETS if not t.figure.startswith("curve_")]

    assert len(shown) > 12
    assert all(named(figure) for figure in shown)


def test_a_figure_stands_beside_that_of_a_loop_that_only_copies() -> None:
    p50 = "event_to_score_milliseconds_at_1000_per_second_p50"
    (compared,) = beside_floor({p50: 12.5, FLOOR + p50: 10.0, "bytes_per_key": 95.0})

    assert compared.split()[-4:] == ["12.5", "10", "1.25", "times"]


@pytest.mark.parametrize(
    ("bound", "found", "verdict"),
    [
        ("at least", 150.0, "met"),
        ("at least", 120.0, "missed by 20 %"),
        ("at most", 150.0, "met"),
        ("at most", 180.0, "missed by 20 %"),
    ],
)
def test_a_target_is_met_or_missed_by_a_share_of_itself(
    bound: str, found: float, verdict: str
) -> None:
    target = Target("drain", bound, 150.0, "a drain")  # type: ignore[arg-type]

    assert target.line(found).endswith(verdict)


@pytest.mark.parametrize(
    ("rate", "is_judged", "code"),
    [(101_000, True, 0), (99_000, True, 1), (99_000, False, 0)],
)
def test_only_who_is_far_off_on_a_quiet_machine_fails(
    rate: float, is_judged: bool, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    medians = {"drain_events_per_second": rate, "of_no_target": 1.0}

    assert judge(medians, {"commit": "c", "machine": "m"}, is_judged=is_judged) == code
    assert "missed by 3" in capsys.readouterr().out
    assert list(far_off(medians)) == ["drain_events_per_second"] * (rate < 100_000)


def test_the_worse_of_two_ways_to_have_a_hot_key_counts() -> None:
    points = [
        {"series": series, "x": x, "runs": [cost]}
        for series, x, cost in (
            *(("shared", 10, 2.0), ("shared", 10_000, 2.2)),
            *(("hot", 10, 2.0), ("hot", 10_000, 3.0)),
        )
    ]

    assert ratios({"live": {"points": points}}) == {"curve_hot_key_10000_over_10": 1.5}


# Trials


def test_who_falls_behind_has_not_kept_up() -> None:
    due = np.arange(0.0, 10.0, 0.01)

    assert _kept_up(due + 0.05, due) == pytest.approx(1.0, abs=0.001)
    assert _kept_up(due * 1.25, due) == pytest.approx(0.8, abs=0.01)


def test_the_steps_are_read_from_what_the_worker_tells() -> None:
    store = MetricStore([names.BATCH_STAGE_DURATION, names.EVENTS_SCORED])
    store.create(names.BATCH_STAGE_DURATION, "decode")
    for decision in ("passed", "flagged"):
        store.create(names.EVENTS_SCORED, "v", decision)
    before = steps_of(_exposed(store))
    for seconds in (0.25, 0.5):
        store.observe(names.BATCH_STAGE_DURATION, seconds, "decode")
    store.add(names.EVENTS_SCORED, 900_000, "v", "passed")
    store.add(names.EVENTS_SCORED, 100_000, "v", "flagged")

    found = steps_of(_exposed(store)).microseconds_since(before)

    assert found == {"decode": pytest.approx(0.75)}


def _exposed(store: MetricStore) -> str:
    registry = CollectorRegistry()
    registry.register(store)
    return generate_latest(registry).decode()


def test_a_silent_report_is_silent_about_everything() -> None:
    told = {name for name, _ in inspect.getmembers(Report, inspect.isfunction)}
    public = {name for name in told if not name.startswith("_")}

    assert len(public) >= 8
    assert public <= set(vars(SilentReport))


def test_the_worker_is_composed_of_what_is_silenced() -> None:
    composition = types.SimpleNamespace(**vars(run))

    silence(composition)

    assert composition.Report is SilentReport
    with pytest.raises(AssertionError, match="composed elsewhere"):
        silence(composition)


# Curves


@pytest.mark.parametrize("curve", CURVES)
def test_the_points_of_a_curve_have_specs(curve: str) -> None:
    for point in CURVES[curve].points:
        spec = point.spec()

        assert len(spec.feature_names) == 4 + 2 * point.windows + point.columns


@pytest.mark.parametrize(("keys", "per_key"), [(50, 10), (1, 300)])
def test_the_keys_of_a_curve_have_as_many_live_events_as_it_says(
    keys: int, per_key: int
) -> None:
    transform = FeatureTransform(Point(0, keys=keys, per_key=per_key).spec())
    payments = Payments(keys, per_key)
    state = transform.new_state()
    transform.transform(payments.take(keys * (per_key + 1)), state)

    X = transform.transform(payments.take(keys * per_key), state).X

    column = transform.spec.feature_names.index("customer_transaction_count_1800s")
    assert X[:, column].mean() == pytest.approx(per_key, rel=0.1)


def test_every_kind_of_curve_becomes_an_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots, "BUILD", tmp_path)
    steps = {"decode": 1.0, "score": 2.0}
    apart = [
        {"x": x, "series": "", "runs": [x / 10, x / 9], "steps": steps}
        for x in (1, 100)
    ]
    kafka = [
        {"x": x, "rates": [9e4, 1e5], "runs": [6.0, 6.5], "broker": [3.0, 3.5]}
        for x in ("1", "2")
    ]
    common = {"title": "Cost", "x_label": "keys", "foreign_cores": 0.0}
    curves = {
        "a": {**common, "is_log": True, "points": apart},
        "b": {**common, "points": kafka},
    }
    where = {"machine": "m", "commit": "c", "date": "d"}
    content = {**where, "is_quick": True, "curves": curves}

    made = list(plots.plot_all(content))

    assert [path.name for path in made] == ["curve-a.png", "curve-b.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in made)


# The flame graph

STACKS = """\
thread (7): MainThread;main (cli.py:1);run (loop.py:1);poll (kafka.py:1) 30
thread (7): MainThread;main (cli.py:1);run (loop.py:1);score<T> (trees.py:1) 60
thread (7): MainThread;main (cli.py:1);run (loop.py:1) 10
thread (8): watchdog;wait (threading.py:1) 900
"""


def test_only_the_main_thread_burns() -> None:
    root = main_thread(STACKS)

    assert (root.name, root.samples) == ("run (loop.py:1)", 100)
    assert {f.name: f.samples for f in root.called.values()} == {
        "poll (kafka.py:1)": 30,
        "score<T> (trees.py:1)": 60,
    }


def test_each_box_says_its_share() -> None:
    image = flame_graph(STACKS, "a <title>")

    assert "<title>run (loop.py:1): 100.0 %, 10.0 % by itself</title>" in image
    assert "<title>score&lt;T&gt; (trees.py:1): 60.0 %, 60.0 % by itself" in image
    assert "a &lt;title&gt;" in image
    assert "watchdog" not in image


def test_no_samples_make_no_image() -> None:
    with pytest.raises(ValueError, match="nothing of the main thread"):
        flame_graph("thread (8): watchdog;wait 9\n", "")


# Capacity

MEASURED = Measured(events_per_second=100_000, gain=1.6, broker_microseconds=3.0)


def test_a_million_events_cost_the_seconds_that_they_take() -> None:
    found = capacity(MEASURED, 1, 1, dollars_per_core_hour=0.036, load=0.5)

    assert found.events_per_second == 100_000
    assert found.events_per_second_at_load == 50_000
    # 20 s of a core at a hundred-thousandth of a dollar.
    assert found.dollars_per_million_events == pytest.approx(20 * 1e-5)
    assert found.broker_cores_at_load == pytest.approx(0.15)


@pytest.mark.parametrize(
    ("workers", "partitions", "rate"),
    [
        (2, 2, 160_000),
        (4, 4, 256_000),
        (8, 2, 160_000),  # six have nothing to do
        (2, 3, 120_000),  # one has two partitions, the other waits for it
    ],
)
def test_more_workers_carry_what_the_second_one_gained(
    workers: int, partitions: int, rate: float
) -> None:
    found = capacity(
        MEASURED, workers, partitions, dollars_per_core_hour=0.036, load=1.0
    )

    assert found.events_per_second == pytest.approx(rate)
