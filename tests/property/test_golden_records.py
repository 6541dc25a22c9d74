"""Events written as golden records are read back as the same events."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.golden import (
    ENTITY_COUNT,
    RECORD_COUNT,
    choose_rows,
    encode_events,
)
from worker.codec import Decoder
from worker.records import MISSING, Column, EventBatch, EventSchema, Field

FIRST_MS, LAST_MS = 946_684_800_000, 4_102_444_799_999

SCHEMA = EventSchema(
    fields=(
        Field("id", "integer"),
        Field("time", "time"),
        Field("account", "text"),
        Field("note", "text", required=False),
        Field("count", "integer", required=False),
        Field("whole", "decimal"),
        Field("number", "decimal", decimals=3, required=False),
        Field("text", "decimal", decimals=2, encoding="text", required=False),
        Field("plain_text", "decimal", encoding="text"),
        Field("minor", "decimal", decimals=2, encoding="minor"),
        Field("present", "boolean", required=False),
        Field("opened", "time", required=False),
        Field("born", "date", required=False),
    ),
    transaction_id="id",
    event_time="time",
    keys=("account",),
    max_ahead_ms=0,
)

texts = st.text(
    st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20
).filter(lambda text: len(text.encode()) <= 64)
amounts = st.integers(-(10**12), 10**12)
times = st.integers(FIRST_MS, LAST_MS)


@st.composite
def batches(draw: st.DrawFn) -> EventBatch:
    count = draw(st.integers(1, 8))

    def texts_of(strategy: st.SearchStrategy[str | None]) -> list[str | None]:
        return draw(st.lists(strategy, min_size=count, max_size=count))

    def numbers(strategy: st.SearchStrategy[int], *, optional: bool = False) -> Column:
        each = strategy | st.just(MISSING) if optional else strategy
        values = draw(st.lists(each, min_size=count, max_size=count))
        return np.array(values, np.int64)

    ids = draw(st.lists(st.integers(0, 2**62).map(str), min_size=count, max_size=count))
    columns: dict[str, Column] = {
        "account": texts_of(texts),
        "note": texts_of(texts | st.none()),
        "count": numbers(amounts, optional=True),
        "whole": numbers(amounts),
        "number": numbers(amounts, optional=True),
        "text": numbers(amounts, optional=True),
        "plain_text": numbers(amounts),
        "minor": numbers(amounts),
        "present": numbers(st.integers(0, 1), optional=True),
        "opened": numbers(times, optional=True),
        "born": numbers(st.integers(-40_000, 40_000), optional=True),
    }
    event_time_ms = numbers(times)
    assert isinstance(event_time_ms, np.ndarray)
    return EventBatch(ids, event_time_ms, columns)


@given(batches())
def test_what_is_encoded_is_decoded_as_it_was(events: EventBatch) -> None:
    values = encode_events(events, SCHEMA)

    accounts = [str(account).encode() for account in events.columns["account"]]
    decoded = Decoder(SCHEMA).decode(accounts, values, [-1] * len(values))

    assert not decoded.rejections
    assert decoded.events.transaction_ids == events.transaction_ids
    np.testing.assert_array_equal(decoded.events.event_time_ms, events.event_time_ms)
    for name, column in events.columns.items():
        assert list(decoded.events.columns[name]) == list(column)


@given(st.lists(st.integers(0, 30).map(str), min_size=1, max_size=600))
def test_golden_rows_are_the_last_ones_of_a_few_keys(keys: list[str]) -> None:
    rows = choose_rows(keys).tolist()

    chosen = {keys[row] for row in rows}
    busiest = max(keys.count(key) for key in keys)
    assert rows == sorted(set(rows))
    assert len(rows) <= RECORD_COUNT
    assert len(chosen) == min(ENTITY_COUNT, len(set(keys)))
    assert any(keys.count(key) == busiest for key in chosen)
    for key in chosen:
        of_key = [row for row in range(len(keys)) if keys[row] == key]
        taken = [row for row in rows if keys[row] == key]
        assert taken == of_key[-len(taken) :]
