"""Simulated traffic: how much of it, what is broken about it, and when it is sent."""

from __future__ import annotations

import datetime as dt
import random
import time
from pathlib import Path

import orjson
import pytest

from demo.broken import KINDS, Keyed, payment
from demo.live import Sending, Shares, records
from demo.traffic import HISTORY_DAYS, TrafficPlan, read_traffic
from tests.conftest import ROOT
from training.simulate import SimulationPlan, simulate
from training.simulation_files import write_simulation
from worker.codec import Decoder
from worker.codec.labels import label_schema
from worker.features import Spec
from worker.records import Reason

TODAY = dt.date(2026, 11, 21)

#: That of the shipped model.
SPEC = Spec.from_toml((ROOT / "training" / "specs" / "handbook.toml").read_text())

LINE = (
    b'{"transaction_id":"8412","event_time":"2026-07-25T00:00:31Z",'
    b'"customer_id":"596","terminal_id":"3156","amount":57.16}\n'
)

PAYMENT = Sending(Keyed(b"596", LINE.rstrip()))


def reason_of(record: Keyed) -> Reason | None:
    """Return why a worker rejects the record, None where it does not."""
    now_ms = int(time.time() * 1000)
    decoded = Decoder(SPEC.schema).decode([record.key], [record.value], [now_ms])
    return decoded.rejections[0].reason if decoded.rejections else None


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_broken_record_is_rejected_for_its_reason(kind: str) -> None:
    spoilt = KINDS[kind](payment(LINE.rstrip()))

    assert reason_of(spoilt) == kind.split(",", 1)[0]


def test_every_reason_has_a_kind() -> None:
    assert {kind.split(",", 1)[0] for kind in KINDS} == set(Reason)


def test_a_payment_that_is_not_spoilt_is_sent_as_it_was_simulated() -> None:
    (sent,) = records([LINE], [], Shares(), random.Random(0))

    assert sent == PAYMENT
    assert reason_of(sent.record) is None


def test_shares_of_the_traffic_are_broken_and_repeated() -> None:
    shares = Shares(broken=0.01, repeated=0.002)

    sent = list(records([LINE] * 20_000, [], shares, random.Random(0)))

    good = sent.count(PAYMENT)
    assert 150 < len(sent) - good < 250
    assert 20 < len(sent) - 20_000 < 60


def test_the_same_seed_spoils_the_same_records() -> None:
    first, second = (
        list(records([LINE] * 500, [], Shares(broken=0.3), random.Random(1)))
        for _ in range(2)
    )

    assert [sent.record.key for sent in first] == [sent.record.key for sent in second]


def test_a_label_is_sent_before_the_first_payment_that_may_know_of_it() -> None:
    payments = [timed(event_time=f"2026-07-{day}T00:00:00Z") for day in ("01", 20, 21)]
    labels = [
        timed(event_time="2026-07-01T00:00:00Z", label_time=f"2026-07-{known}Z")
        for known in ("19T23:59:59", "21T00:00:00", "30T00:00:00")
    ]

    sent = list(records(payments, labels, Shares(), random.Random(0)))

    assert [sending.is_label for sending in sent] == [False, *[True, False] * 2, True]
    assert [sending.record.value for sending in sent if sending.is_label] == labels
    assert {sending.record.key for sending in sent} == {b"596"}


def test_a_simulated_label_is_one_to_a_worker(tmp_path: Path) -> None:
    plan = SimulationPlan(customers=50, terminals=100, days=7, fraud_amount=100.0)
    _, path = write_simulation(simulate(plan), tmp_path, file_format="jsonl")
    labels = path.read_bytes().splitlines()
    schema = label_schema(SPEC.schema, [SPEC.entities[1].key])

    sent = [
        sending.record for sending in records([], labels, Shares(), random.Random(0))
    ]
    decoded = Decoder(schema, key_is_entity=None).decode(
        [record.key for record in sent],
        [record.value for record in sent],
        [int(time.time() * 1000)] * len(sent),
    )

    assert len(decoded.events) == len(labels) > 0
    assert len(decoded.rejections) == 0


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
        "521 customers, 37 days of history; then 12 hours in each second"
    )
    assert "--days=73" in plan.arguments(Path("out"))


def test_history_ends_where_live_traffic_begins(tmp_path: Path) -> None:
    plan = TrafficPlan(60, 500, seed=7, today=TODAY)
    first_live = plan.start + dt.timedelta(days=HISTORY_DAYS)
    before = (first_live - dt.timedelta(days=1)).isoformat()
    times = [f"{before}T23:59:59Z", f"{first_live.isoformat()}T00:00:00Z"]
    write(tmp_path / "transactions.jsonl", [{"event_time": time} for time in times])
    labels = [
        {"transaction_id": number, "label_time": time}
        for number, time in zip(("3", "8"), times, strict=True)
    ]
    write(tmp_path / "labels.jsonl", labels)

    traffic = read_traffic(plan, tmp_path)

    assert traffic.history_count == 1
    for part, time_, label in zip(
        (traffic.history, traffic.live), times, labels, strict=True
    ):
        assert orjson.loads(part.payments.read_bytes())["event_time"] == time_
        assert orjson.loads(part.labels.read_bytes()) == label
    assert traffic.frauds == {"3", "8"}


def timed(**times: str) -> bytes:
    return orjson.dumps({"customer_id": "596", **times})


def write(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
