"""The scan finds whatever a payment says, and nothing else."""

from __future__ import annotations

import json
import random

import pytest

from tests.marks import leaks_in, marked_payment

MARKED = marked_payment(random.Random(1), 2, 1_795_231_401_347)


@pytest.mark.parametrize(
    "field", ["transaction_id", "customer_id", "terminal_id", "amount"]
)
@pytest.mark.parametrize("seed", range(20))
def test_each_value_is_found_wherever_it_stands(field: str, seed: int) -> None:
    value = marked_payment(random.Random(seed), 2 * seed, 0)[field]
    line = f"fraud_lag{{place=\"{value}\"}} 1.0, b'{value}' and {value}."

    assert leaks_in({"a log": ["all is well", line]}) == [f"a log: {value}"] * 3


def test_a_whole_payment_is_found() -> None:
    assert len(leaks_in({"a log": [json.dumps(MARKED)]})) == 4


def test_a_part_of_a_name_is_found() -> None:
    cut_off = json.dumps(MARKED)[: len('{"transaction_id": "t-q7zx')]

    assert leaks_in({"a log": [cut_off]}) == ["a log: t-q7zx"]


def test_figures_of_the_worker_are_no_leak() -> None:
    lines = [
        "process_resident_memory_bytes 9.417216e+08",
        "fraud_worker_last_poll_seconds 1.795231401347e+09",
        "fraud_events_scored_total 941724.0",
        '{"seconds": 9417.25, "offset": 941725, "replayed": 194172501}',
    ]

    assert leaks_in({"metrics": lines}) == []
