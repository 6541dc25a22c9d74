"""Simulated traffic: how much of it, what is broken about it, and when it is sent."""

from __future__ import annotations

import datetime as dt
import random
import time
from pathlib import Path

import orjson
import pytest

from demo.broken import KINDS, Keyed, payment
from demo.live import Shares, records
from demo.traffic import HISTORY_DAYS, TrafficPlan, read_traffic
from tests.conftest import ROOT
from training.simulate import SimulationPlan, simulate
from worker.codec import Decoder
from worker.features import Spec
from worker.records import Reason

TODAY = dt.date(2026, 11, 21)

LINE = (
    b'{"transaction_id":"8412","event_time":"2026-07-25T00:00:31Z",'
    b'"customer_id":"596","terminal_id":"3156","amount":57.16}\n'
)


def reason_of(record: Keyed) -> Reason | None:
    """Return why a worker rejects the record, None where it does not."""
    spec = Spec.from_toml((ROOT / "training" / "specs" / "customer.toml").read_text())
    now_ms = int(time.time() * 1000)
    decoded = Decoder(spec.schema).decode([record.key], [record.value], [now_ms])
    return decoded.rejections[0].reason if decoded.rejections else None


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_broken_record_is_rejected_for_its_reason(kind: str) -> None:
    spoilt = KINDS[kind](payment(LINE.rstrip()))

    assert reason_of(spoilt) == kind.split(",", 1)[0]


def test_every_reason_has_a_kind() -> None:
    assert {kind.split(",", 1)[0] for kind in KINDS} == set(Reason)


def test_a_payment_that_is_not_spoilt_is_sent_as_it_was_simulated() -> None:
    (sent,) = records([LINE], Shares(), random.Random(0))

    assert sent == Keyed(b"596", LINE.rstrip())
    assert reason_of(sent) is None


def test_shares_of_the_traffic_are_broken_and_repeated() -> None:
    shares = Shares(broken=0.01, repeated=0.002)

    sent = list(records([LINE] * 20_000, shares, random.Random(0)))

    good = sum(record == Keyed(b"596", LINE.rstrip()) for record in sent)
    assert 150 < len(sent) - good < 250
    assert 20 < len(sent) - 20_000 < 60


def test_the_same_seed_spoils_the_same_records() -> None:
    first, second = (
        list(records([LINE] * 500, Shares(broken=0.3), random.Random(1)))
        for _ in range(2)
    )

    assert [record.key for record in first] == [record.key for record in second]


@pytest.mark.parametrize(
    ("seconds", "rate"), [(1, 1), (5, 100), (60, 500), (60, 5_000), (3_600, 500)]
)
def test_the_simulation_lasts_for_all_live_records(seconds: int, rate: int) -> None:
    plan = TrafficPlan(seconds, rate, seed=7, today=TODAY)
    days = HISTORY_DAYS + plan.live_days
    drawn = simulate(
        SimulationPlan(
            customers=plan.customers,
            terminals=2 * plan.customers,
            days=days,
            start=plan.start,
            seed=plan.seed,
        )
    )
    live_from_ms = drawn.event_time_ms[0] + HISTORY_DAYS * 86_400_000

    assert (drawn.event_time_ms > live_from_ms).sum() >= seconds * rate
    assert plan.start + dt.timedelta(days=days) <= TODAY
    assert 200 <= plan.customers <= 2_000


def test_a_demo_of_a_minute_covers_a_month() -> None:
    plan = TrafficPlan(60, 500, seed=7, today=TODAY)

    assert plan.description == (
        "521 customers, 30 days of history; then 12 hours in each second"
    )
    assert "--days=66" in plan.arguments(Path("out"))


def test_history_ends_where_live_traffic_begins(tmp_path: Path) -> None:
    plan = TrafficPlan(60, 500, seed=7, today=TODAY)
    first_live = plan.start + dt.timedelta(days=HISTORY_DAYS)
    before = (first_live - dt.timedelta(days=1)).isoformat()
    times = [f"{before}T23:59:59Z", f"{first_live.isoformat()}T00:00:00Z"]
    write(tmp_path / "transactions.jsonl", [{"event_time": time} for time in times])
    write(tmp_path / "labels.jsonl", [{"transaction_id": "3"}, {"transaction_id": "8"}])

    traffic = read_traffic(plan, tmp_path)

    assert traffic.history_count == 1
    assert orjson.loads(traffic.history.read_bytes())["event_time"] == times[0]
    assert orjson.loads(traffic.live.read_bytes())["event_time"] == times[1]
    assert traffic.frauds == {"3", "8"}


def write(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
