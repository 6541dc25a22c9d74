"""What one stage hands on, the next one reads as it was, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tests.codec_strategies import EVERY_TYPE
from worker.codec.forwarded_times import ForwardedTimes
from worker.codec.forwarding import (
    Forwarded,
    ForwardingCodec,
    NotForwarded,
    Origins,
    encode_labels,
    record_keys,
)
from worker.codec.labels import FRAUD, LABEL_TIME
from worker.records import (
    MISSING,
    Column,
    EventBatch,
    EventSchema,
    LabelBatch,
    RecordBatch,
)

SCHEMA = EventSchema(
    EVERY_TYPE.fields,
    EVERY_TYPE.transaction_id,
    EVERY_TYPE.event_time,
    ("customer_id", "terminal_id"),
    EVERY_TYPE.max_ahead_ms,
)
KEY = "terminal_id"
ALWAYS = {SCHEMA.transaction_id, SCHEMA.event_time}
TEXTS = {f.name for f in SCHEMA.fields if f.type == "text"} - ALWAYS
NAMES = [f.name for f in SCHEMA.fields if f.name not in ALWAYS]

PLAIN = st.text(max_size=12)
INT64 = st.integers(-(2**63), 2**63 - 1)
OFFSETS = st.integers(0, 2**63 - 1)
PARTITIONS = st.integers(0, 2**31 - 1)


class Event(NamedTuple):
    """What is handed on of an event; `values` holds its fields by name."""

    id: str
    input_key: str
    time_ms: int
    partition: int
    offset: int
    flags: int
    values: dict[str, str | int | None]
    given: list[float]


class KnownLabel(NamedTuple):
    id: str
    key: str
    time_ms: int
    partition: int
    offset: int
    fraud: bool
    known_ms: int


class Log(NamedTuple):
    """Records that a stage reads, and which fields and columns it is handed."""

    fields: list[str]
    column_count: int
    entries: list[Event | KnownLabel]

    @property
    def codec(self) -> ForwardingCodec:
        return ForwardingCodec(
            SCHEMA, self.fields, key=KEY, column_count=self.column_count
        )

    @property
    def events(self) -> list[Event]:
        return [entry for entry in self.entries if isinstance(entry, Event)]

    @property
    def labels(self) -> list[KnownLabel]:
        return [entry for entry in self.entries if isinstance(entry, KnownLabel)]


def field_values(name: str) -> st.SearchStrategy[str | int | None]:
    if name == KEY:
        return PLAIN
    if name in TEXTS:
        return st.none() | PLAIN
    return st.just(MISSING) | INT64


#: Some choices of fields, each with what they may hold.
HANDED_ON = [
    (fields, st.fixed_dictionaries({name: field_values(name) for name in fields}))
    for fields in ([KEY], [KEY, "note"], ["customer_id", KEY, "amount"], NAMES)
]


@st.composite
def logs(draw: st.DrawFn, min_size: int = 0) -> Log:
    fields, values = draw(st.sampled_from(HANDED_ON))
    count = draw(st.integers(0, 3))
    columns = st.lists(st.floats(), min_size=count, max_size=count)
    events = st.builds(
        Event, PLAIN, PLAIN, INT64, PARTITIONS, OFFSETS, st.integers(0, 7), values,
        columns,
    )  # fmt: skip
    labels = st.builds(
        KnownLabel, PLAIN, PLAIN, INT64, PARTITIONS, OFFSETS, st.booleans(), INT64
    )
    entries = draw(st.lists(events | labels, min_size=min_size, max_size=6))
    return Log(fields, count, entries)


def batch_of(events: Sequence[Event], fields: Sequence[str]) -> EventBatch:
    columns: dict[str, Column] = {}
    for name in fields:
        column = [event.values[name] for event in events]
        if name in TEXTS or name == KEY:
            columns[name] = [None if v is None else str(v) for v in column]
        else:
            columns[name] = np.array(column, np.int64)
    times = np.array([event.time_ms for event in events], np.int64)
    return EventBatch([event.id for event in events], times, columns)


def origins_of(entries: Sequence[Event | KnownLabel]) -> Origins:
    return Origins(
        np.array([entry.partition for entry in entries], np.int64),
        np.array([entry.offset for entry in entries], np.int64),
        [e.input_key.encode() if isinstance(e, Event) else b"" for e in entries],
    )


def given_of(log: Log) -> np.ndarray:
    shape = len(log.events), log.column_count
    return np.array([event.given for event in log.events], np.float64).reshape(shape)


def encoded(log: Log) -> RecordBatch:
    """The log as records of a topic."""
    events, labels = log.events, log.labels
    flags = np.array([event.flags for event in events], np.uint8)
    of_events = zip(
        *log.codec.encode_events(
            batch_of(events, log.fields), origins_of(events), flags, given_of(log)
        ),
        strict=True,
    )
    decoded = EventBatch(
        [label.id for label in labels],
        np.array([label.time_ms for label in labels], np.int64),
        {
            FRAUD: np.array([label.fraud for label in labels], np.int64),
            LABEL_TIME: np.array([label.known_ms for label in labels], np.int64),
        },
    )
    of_labels = zip(
        record_keys([label.key for label in labels]),
        encode_labels(decoded, origins_of(labels)),
        strict=True,
    )
    pairs = [
        next(of_events if isinstance(entry, Event) else of_labels)
        for entry in log.entries
    ]
    return records_of(pairs)


def records_of(pairs: Sequence[tuple[bytes | None, bytes | None]]) -> RecordBatch:
    count = len(pairs)
    return RecordBatch(
        ["inner"] * count,
        [0] * count,
        [2 * i for i in range(count)],
        [-1] * count,
        [key for key, _ in pairs],
        [value for _, value in pairs],
    )


def assert_labels(log: Log, found: LabelBatch) -> None:
    labels = log.labels
    rows = [i for i, e in enumerate(log.entries) if isinstance(e, KnownLabel)]
    events_before = [
        sum(isinstance(entry, Event) for entry in log.entries[:row]) for row in rows
    ]
    assert found.transaction_ids == [label.id for label in labels]
    assert found.event_time_ms.tolist() == [label.time_ms for label in labels]
    assert found.keys == [label.key for label in labels]
    assert found.fraud.tolist() == [label.fraud for label in labels]
    assert found.label_time_ms.tolist() == [label.known_ms for label in labels]
    assert found.before.tolist() == events_before
    assert found.offsets is not None
    assert found.offsets.tolist() == [2 * row for row in rows]


def assert_equal(log: Log, found: Forwarded) -> None:
    events, expected = log.events, batch_of(log.events, log.fields)
    assert found.events.transaction_ids == expected.transaction_ids
    assert found.events.event_time_ms.tolist() == expected.event_time_ms.tolist()
    assert found.events.columns.keys() == expected.columns.keys()
    for name, column in expected.columns.items():
        assert list(found.events.columns[name]) == list(column)
    own = origins_of(events)
    assert found.origins.keys == own.keys
    assert found.origins.partitions.tolist() == own.partitions.tolist()
    assert found.origins.offsets.tolist() == own.offsets.tolist()
    assert found.flags.tolist() == [event.flags for event in events]
    assert found.given.tobytes() == given_of(log).tobytes()
    rows = [i for i, entry in enumerate(log.entries) if isinstance(entry, Event)]
    others = [i for i, e in enumerate(log.entries) if isinstance(e, KnownLabel)]
    assert (found.rows.tolist(), found.label_rows.tolist()) == (rows, others)
    origins = origins_of(log.labels)
    assert found.label_origins[0].tolist() == origins.partitions.tolist()
    assert found.label_origins[1].tolist() == origins.offsets.tolist()
    assert_labels(log, found.labels)


@given(logs())
def test_what_is_encoded_is_decoded_as_it_was(log: Log) -> None:
    """Numbers to the bit, texts of any characters, what is missing as missing."""
    assert_equal(log, log.codec.decode(encoded(log)))


@given(logs(min_size=1))
def test_a_record_says_the_same_alone_as_among_others(log: Log) -> None:
    records = encoded(log)

    for row, entry in enumerate(log.entries):
        alone = records_of([(records.keys[row], records.values[row])])
        assert_equal(log._replace(entries=[entry]), log.codec.decode(alone))


@given(logs(min_size=1), st.lists(st.none() | st.binary(max_size=30), max_size=3))
def test_times_can_be_read_ahead_of_the_rest(
    log: Log, others: list[bytes | None]
) -> None:
    """Of events; neither labels have any here, nor what no stage wrote."""
    values = encoded(log).values
    times = [e.time_ms if isinstance(e, Event) else MISSING for e in log.entries]

    assert ForwardedTimes().read(values, []).tolist() == times
    with_others = ForwardedTimes().read([*others, *values], [])
    assert with_others[len(others) :].tolist() == times


@given(logs(min_size=1), st.data())
def test_what_is_cut_off_is_none_of_ours(log: Log, data: st.DataObject) -> None:
    """An event anywhere; a label within its numbers, since its id has any length."""
    records = encoded(log)
    row = data.draw(st.integers(0, len(log.entries) - 1))
    value, entry = records.values[row] or b"", log.entries[row]
    end = (
        len(value) if isinstance(entry, Event) else len(value) - len(entry.id.encode())
    )
    records.values[row] = value[: data.draw(st.integers(0, end - 1))]

    with pytest.raises(NotForwarded) as error:
        log.codec.decode(records)

    assert error.value.row == row


GARBAGE = st.binary(max_size=120)


@given(logs(min_size=1), st.data())
def test_what_is_damaged_is_refused_as_such_or_read(
    log: Log, data: st.DataObject
) -> None:
    """No other error comes out, and it names the record."""
    records = encoded(log)
    row = data.draw(st.integers(0, len(log.entries) - 1))
    key, value = records.keys[row] or b"", bytearray(records.values[row] or b"")
    at = data.draw(st.integers(0, len(value)))
    value[at : data.draw(st.integers(at, len(value)))] = data.draw(GARBAGE)
    records.values[row] = bytes(value)
    records.keys[row] = data.draw(st.sampled_from([key, b"\xff", b"", None]))

    rejected = row_rejected(log.codec, records)

    assert rejected in {None, row}


def row_rejected(codec: ForwardingCodec, records: RecordBatch) -> int | None:
    """Which record is refused, None where all are read."""
    try:
        found = codec.decode(records)
    except NotForwarded as error:
        return error.row
    assert len(found.rows) + len(found.label_rows) == len(records)
    return None


@given(st.lists(st.tuples(st.none() | GARBAGE, st.none() | GARBAGE), min_size=1))
@example([(b"k", None)])
@example([(b"k", b"")])
def test_what_somebody_else_wrote_is_refused(
    pairs: list[tuple[bytes | None, bytes | None]],
) -> None:
    assume(all(not v or v[0] not in (1, 2) for _, v in pairs))

    with pytest.raises(NotForwarded) as error:
        Log([KEY], 3, []).codec.decode(records_of(pairs))

    assert error.value.row == 0


@given(logs(min_size=1))
def test_what_was_written_for_another_use_is_refused(log: Log) -> None:
    """Which needs one column more."""
    assume(log.events)
    records = encoded(log)
    other = ForwardingCodec(
        SCHEMA, log.fields, key=KEY, column_count=log.column_count + 1
    )

    rejected = row_rejected(other, records)

    first = next(i for i, e in enumerate(log.entries) if isinstance(e, Event))
    assert rejected is not None
    assert rejected >= first


def test_texts_that_must_be_there_are() -> None:
    """Neither the id of a transaction nor its key is ever missing."""
    codec = Log([KEY], 0, []).codec
    event = Event("id", "key", 0, 0, 0, 0, {KEY: "t"}, [])
    records = encoded(Log([KEY], 0, [event]))
    block = (records.values[0] or b"")[: -len(b"\x92\xa2id\xa3key")]

    for texts in (b"\x92\xc0\xa3key", b"\x92\xa2id\xc0"):
        with pytest.raises(NotForwarded):
            codec.decode(records_of([(b"t", block + texts)]))
