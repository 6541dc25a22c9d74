"""Limits stop with a name; they never drop live state."""

from __future__ import annotations

import pytest

from tests.transform_builders import Row, batch_of, everything
from worker.errors import StateUnusable
from worker.features import FeatureTransform

TRANSFORM = FeatureTransform(everything())
START_MS = 1_700_000_000_000

#: Cents, items, shop.
PAID = (100, None, None)


def rows_of(keys: int, *, at_ms: int = START_MS) -> list[Row]:
    """One event for each of so many customers."""
    return [(f"{at_ms}-{i}", at_ms + i, f"c{i}", 100, None, None) for i in range(keys)]


def test_one_key_too_many_stops_with_the_setting_to_raise() -> None:
    state = TRANSFORM.new_state(max_keys=10)
    TRANSFORM.transform(batch_of(rows_of(10)), state)

    with pytest.raises(StateUnusable, match=r"10 live keys .* FRAUD_MAX_KEYS"):
        TRANSFORM.transform(batch_of(rows_of(11, at_ms=START_MS + 1000)), state)


def test_one_event_too_many_stops_with_the_setting_to_raise() -> None:
    state = TRANSFORM.new_state(max_events=10)
    TRANSFORM.transform(batch_of(rows_of(10)), state)

    with pytest.raises(StateUnusable, match=r"10 live events .* FRAUD_MAX_EVENTS"):
        TRANSFORM.transform(batch_of(rows_of(1, at_ms=START_MS + 1000)), state)


def test_the_dead_do_not_count_towards_a_limit() -> None:
    """Keys whose events have expired make room for new ones."""
    state = TRANSFORM.new_state(max_keys=10, max_events=10)
    TRANSFORM.transform(batch_of(rows_of(10)), state)
    TRANSFORM.transform(
        batch_of([("x", START_MS + 200_000, "c0", 100, None, None)]), state
    )

    later: list[Row] = [
        (f"n{i}", START_MS + 200_001 + i, f"new{i}", 100, None, None) for i in range(9)
    ]
    rows = TRANSFORM.transform(batch_of(later), state)

    assert len(later) == len(rows.X)
    assert state.key_count <= 10


def test_memory_stays_flat_while_keys_come_and_go() -> None:
    """Each customer pays for 40 s and is never seen again; windows reach 60 s back.

    time       0 s   40 s   80 s   120 s                  4000 s
    customers  aaaaa bbbbbb cccccc dddddd  ...  100 times ------
    """
    state, sizes, live = TRANSFORM.new_state(), [], []
    for generation in range(100):
        begin_ms = START_MS + generation * 40_000
        rows: list[Row] = [
            (f"{generation}-{i}", begin_ms + i * 10, f"c{generation}-{i % 1000}", *PAID)
            for i in range(4000)
        ]
        TRANSFORM.transform(batch_of(rows), state)
        sizes.append(state.memory_bytes)
        live.append((state.key_count, state.event_count))

    assert max(sizes[10:]) == max(sizes[:10])
    assert max(keys for keys, _ in live) < 10_000, "of 100,000 customers"
    assert max(events for _, events in live) < 40_000, "of 400,000 payments"
