"""The simulator draws what its rules say, and the same again from the same seed."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.conftest import ROOT
from tests.small_models import ONE_ENTITY
from training.json_lines import decode_lines
from training.simulate import (
    Scenario,
    Simulation,
    SimulationPlan,
    _daily_counts,
    _Reachable,
    simulate,
)
from training.simulation_files import FileFormat, describe, write_simulation
from worker.errors import InvalidConfig
from worker.features import Spec

DAY_MS = 86_400_000


def tiny(**changes: object) -> SimulationPlan:
    sizes = {"customers": 40, "terminals": 80, "days": 30, **changes}
    return SimulationPlan(**sizes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def full_size() -> Simulation:
    return simulate(SimulationPlan())


# Seeds


@pytest.mark.parametrize("file_format", ["parquet", "jsonl", "csv"])
def test_the_same_plan_gives_the_same_bytes(
    tmp_path: Path, file_format: FileFormat
) -> None:
    for name in ("one", "two"):
        write_simulation(simulate(tiny()), tmp_path / name, file_format=file_format)

    for stem in ("transactions", "labels"):
        one, two = (
            (tmp_path / name / f"{stem}.{file_format}").read_bytes()
            for name in ("one", "two")
        )
        assert one == two


def test_json_lines_are_written_where_there_is_no_pyarrow(tmp_path: Path) -> None:
    """A worker's image has none, and simulates what flows through a test stack."""
    program = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from training.cli import main; sys.exit(main())"
    )
    arguments = f"simulate --format jsonl --out {tmp_path} --customers 9 --days 9"

    argv = [sys.executable, "-c", program, *arguments.split()]
    done = subprocess.run(argv, cwd=ROOT, check=False, capture_output=True)

    assert done.returncode == 0, done.stderr
    first, *_ = (tmp_path / "transactions.jsonl").read_text().splitlines()
    assert set(json.loads(first)) >= {"transaction_id", "event_time", "amount"}


def test_another_stretch_gives_other_payments_of_the_same_customers() -> None:
    one, two = simulate(tiny(days=200)), simulate(tiny(days=200, stretch=1))

    assert one.amount_cents.tolist() != two.amount_cents.tolist()
    other = simulate(tiny(days=200, seed=1))
    same, strange = (np.corrcoef(_means(one), _means(each)) for each in (two, other))
    assert same[0, 1] > 0.9
    assert strange[0, 1] < 0.6


def _means(found: Simulation) -> NDArray[np.float64]:
    return np.bincount(found.customer, found.amount_cents) / np.bincount(found.customer)


def test_another_seed_gives_other_payments() -> None:
    one, two = simulate(tiny(seed=1)), simulate(tiny(seed=2))

    assert one.amount_cents.tolist() != two.amount_cents.tolist()


def test_fraud_rates_do_not_change_the_genuine_payments() -> None:
    quiet = simulate(tiny(fraud_customer_rate=0.0, fraud_terminal_rate=0.0))
    busy = simulate(tiny(fraud_customer_rate=0.1, fraud_terminal_rate=0.1))

    assert quiet.event_time_ms.tolist() == busy.event_time_ms.tolist()
    assert quiet.terminal.tolist() == busy.terminal.tolist()


# Rules


@settings(max_examples=30)
@given(
    st.builds(
        tiny,
        customers=st.integers(1, 60),
        terminals=st.integers(1, 60),
        days=st.integers(1, 40),
        seed=st.integers(0, 2**32),
        fraud_customer_rate=st.floats(0, 1),
        fraud_terminal_rate=st.floats(0, 1),
    )
)
def test_every_payment_lies_within_the_plan(plan: SimulationPlan) -> None:
    found = simulate(plan)

    assert (np.diff(found.event_time_ms) >= 0).all()
    assert (found.event_time_ms >= plan.start_ms).all()
    assert (found.event_time_ms < plan.start_ms + plan.days * DAY_MS).all()
    assert (found.event_time_ms % 1000 == 0).all()
    assert ((found.customer >= 0) & (found.customer < plan.customers)).all()
    assert ((found.terminal >= 0) & (found.terminal < plan.terminals)).all()
    assert (found.amount_cents >= 0).all()
    assert set(found.scenario.tolist()) <= set(map(int, Scenario))


def test_large_amounts_and_only_those_are_frauds_of_the_first_kind() -> None:
    found = simulate(
        SimulationPlan(days=30, fraud_customer_rate=0.0, fraud_terminal_rate=0.0)
    )

    large = found.amount_cents > 22_000
    assert large.any()
    assert found.fraud.tolist() == large.tolist()


def test_a_compromised_terminal_has_only_frauds_for_its_days() -> None:
    plan = tiny(
        days=60, fraud_amount=1e6, fraud_customer_rate=0.0, fraud_terminal_rate=0.01
    )
    found = simulate(plan)
    day = (found.event_time_ms - plan.start_ms) // DAY_MS
    frauds: dict[int, set[int]] = defaultdict(set)
    genuine: dict[int, set[int]] = defaultdict(set)
    for terminal, its_day, fraud in zip(
        found.terminal.tolist(), day.tolist(), found.fraud.tolist(), strict=True
    ):
        (frauds if fraud else genuine)[terminal].add(its_day)

    assert len(frauds) > 10
    for terminal, days in frauds.items():
        assert not days & genuine[terminal], "a day is either compromised or it is not"
    spans = [max(days) - min(days) for days in frauds.values()]
    assert np.median(spans) <= plan.fraud_terminal_days


def test_a_third_of_a_compromised_customers_payments_are_multiplied() -> None:
    quiet = tiny(
        days=14, fraud_amount=1e6, fraud_customer_rate=0.0, fraud_terminal_rate=0.0
    )
    # Every day all customers are compromised, for that day.
    busy = tiny(
        days=14,
        fraud_amount=1e6,
        fraud_customer_rate=1.0,
        fraud_terminal_rate=0.0,
        fraud_customer_days=1,
    )
    before, after = simulate(quiet), simulate(busy)

    assert np.mean(after.fraud) == pytest.approx(1 / 3, abs=0.02)
    stolen = after.fraud
    assert (before.amount_cents[~stolen] == after.amount_cents[~stolen]).all()
    # The factor comes before the rounding, so half a cent may become two and a half.
    growth = after.amount_cents[stolen] - 5 * before.amount_cents[stolen]
    assert np.abs(growth).max() <= 3
    assert len(set((after.amount_cents[stolen] % 5).tolist())) == 5


def test_customers_pay_only_at_terminals_within_reach() -> None:
    rng = np.random.default_rng(3)
    customers, terminals = rng.uniform(0, 100, (30, 2)), rng.uniform(0, 100, (200, 2))
    reachable = _Reachable(customers, terminals, 12.0)

    who = np.repeat(np.arange(30), 400)
    chosen = reachable.draw(who, rng)

    distance = np.hypot(*(customers[who] - terminals[chosen]).T)
    nearest = np.array([np.hypot(*(c - terminals).T).min() for c in customers])
    assert (distance <= np.maximum(12.0, nearest[who])).all()
    for number, position in enumerate(customers):
        within = np.flatnonzero(np.hypot(*(position - terminals).T) < 12.0)
        assert set(chosen[who == number].tolist()) == set(within.tolist())


def test_a_customer_without_terminals_in_reach_uses_the_nearest() -> None:
    customers = np.array([[0.0, 0.0]])
    terminals = np.array([[50.0, 50.0], [10.0, 0.0], [99.0, 99.0]])
    reachable = _Reachable(customers, terminals, 1.0)

    chosen = reachable.draw(np.zeros(5, np.int64), np.random.default_rng(0))

    assert chosen.tolist() == [1] * 5


@given(st.floats(0, 5), st.integers(1, 400))
def test_daily_counts_add_up_to_the_rate(mean: float, days: int) -> None:
    counts = _daily_counts(mean, days)

    assert len(counts) == days
    assert sum(counts) == pytest.approx(mean * days, abs=1)
    assert max(counts) - min(counts) <= 1


def test_the_radius_decides_how_many_terminals_a_customer_uses() -> None:
    near, far = (
        simulate(SimulationPlan(customers=50, terminals=2_000, days=90, radius=radius))
        for radius in (2.0, 20.0)
    )

    used = [
        np.mean([len(set(one.terminal[one.customer == c])) for c in range(50)])
        for one in (near, far)
    ]
    assert used[0] < 10
    assert used[1] > 50


# Statistics of the published data, at its size


def test_the_full_size_looks_like_the_handbooks_data(full_size: Simulation) -> None:
    days = np.bincount((full_size.event_time_ms - 1_522_540_800_000) // DAY_MS)
    amount = full_size.amount_cents / 100
    kinds = np.bincount(full_size.scenario, minlength=4)

    assert 1_700_000 < len(full_size) < 1_850_000  # published: 1,754,155
    assert len(days) == 183
    assert days.min() > 9_000
    assert 0.0075 < full_size.fraud.mean() < 0.0092  # published: 0.0084
    assert 700 < kinds[Scenario.LARGE_AMOUNT] < 1_300  # 973
    assert 8_000 < kinds[Scenario.TERMINAL] < 10_200  # 9,077
    assert 4_000 < kinds[Scenario.CUSTOMER] < 5_300  # 4,631
    assert 50 < amount.mean() < 57  # 53.6
    assert amount[~full_size.fraud].max() <= 220  # 219.98
    assert 220 < amount[full_size.scenario == Scenario.LARGE_AMOUNT].mean() < 250


def test_the_full_size_reaches_as_many_victims(full_size: Simulation) -> None:
    customers = np.unique(full_size.customer)
    terminals = np.unique(full_size.terminal)

    assert 4_970 < len(customers) <= 5_000  # published: 4,990
    assert len(terminals) == 10_000
    victims = np.unique(full_size.customer[full_size.fraud])
    hit = np.unique(full_size.terminal[full_size.fraud])
    assert 3_200 < len(victims) < 3_700  # 3,472
    assert 4_000 < len(hit) < 4_700  # 4,266


def test_the_first_month_has_fewer_frauds_than_the_others(
    full_size: Simulation,
) -> None:
    """Compromised terminals stay so for weeks, and on the first day there is none."""
    first = full_size.event_time_ms < 1_522_540_800_000 + 30 * DAY_MS

    assert full_size.fraud[first].mean() < 0.8 * full_size.fraud[~first].mean()


# Files


@pytest.mark.parametrize("file_format", ["parquet", "jsonl", "csv"])
def test_labels_are_written_of_frauds_alone(
    tmp_path: Path, file_format: FileFormat
) -> None:
    found = simulate(tiny(fraud_customer_rate=0.05))
    _, labels = write_simulation(found, tmp_path, file_format=file_format)

    if file_format == "parquet":
        table = pyarrow.parquet.read_table(labels)
        ids = [int(text) for text in table["transaction_id"].to_pylist()]
        assert ids == np.flatnonzero(found.fraud).tolist()
        assert all(table["fraud"].to_pylist())
        delay = np.subtract(table["label_time"], table["event_time"])
        assert set(delay.astype("m8[D]").astype(int).tolist()) == {7}
    else:
        lines = labels.read_text().splitlines()
        heading = file_format == "csv"
        assert len(lines) == int(found.fraud.sum()) + heading


def test_json_lines_are_records_of_the_stream(tmp_path: Path) -> None:
    found = simulate(tiny())
    transactions, _ = write_simulation(found, tmp_path, file_format="jsonl")
    spec = Spec.from_toml(ONE_ENTITY)

    decoded = decode_lines(transactions, spec.schema, {})

    assert decoded.rejections == []
    assert decoded.events.event_time_ms.tolist() == found.event_time_ms.tolist()
    amount = decoded.events.columns["amount"]
    assert isinstance(amount, np.ndarray)
    assert amount.tolist() == found.amount_cents.tolist()
    assert decoded.events.columns["customer_id"] == list(map(str, found.customer))


def test_a_simulation_is_described_in_one_sentence() -> None:
    found = simulate(tiny(days=3, start=dt.date(2024, 2, 28)))

    assert "2024-02-28 to 2024-03-01" in describe(found)
    assert describe(found).startswith(f"{len(found):,} payments")


def test_a_simulation_without_payments_is_described_too() -> None:
    found = simulate(tiny())
    columns = ("event_time_ms", "customer", "terminal", "amount_cents", "scenario")
    empty = {name: getattr(found, name)[:0] for name in columns}

    assert describe(replace(found, **empty)) == "no payments at all"


# Plans


def test_a_wrong_plan_lists_every_problem() -> None:
    with pytest.raises(InvalidConfig) as raised:
        SimulationPlan(customers=0, fraud_terminal_rate=1.5, seed=-1)

    assert len(raised.value.problems) == 3
    assert "customers is 0" in str(raised.value)


def test_more_payments_than_fit_are_refused() -> None:
    with pytest.raises(InvalidConfig, match="at most 100,000,000"):
        SimulationPlan(customers=5_000_000, days=365)
