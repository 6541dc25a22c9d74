"""Whatever comes, each record is one event or one rejection, and always the same."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.codec_builders import EVENT_TIME_MS
from tests.codec_strategies import EVERY_TYPE, NAMES, anything, damaged_records, records
from worker.codec import (
    Decoder,
    columns_to_events,
    format_dates,
    format_times,
    parse_dates,
    parse_times,
)
from worker.codec.envelope import check_envelopes
from worker.codec.parsing import Parser
from worker.records import MAX_MAGNITUDE, MISSING, Decoded, Field, Reason

DECODER = Decoder(EVERY_TYPE)
PARSER = Parser(EVERY_TYPE)

#: A reason that says which field is wrong, and one that cannot.
WHOLE_RECORD = {
    Reason.TOMBSTONE,
    Reason.EMPTY,
    Reason.TOO_LARGE,
    Reason.SCHEMA_FRAMING,
    Reason.NOT_UTF8,
    Reason.NOT_JSON,
    Reason.TOO_DEEP,
    Reason.NOT_AN_OBJECT,
}

PLAIN_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")

RFC_3339_SHAPE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})"
)

DATE_SHAPE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

KEYS = st.sampled_from([b"596", b"596", b"596", None, b"", b"8412"])
STAMPS = st.sampled_from([-1, EVENT_TIME_MS, EVENT_TIME_MS - 10**6, 2**62])
BATCHES = st.lists(st.tuples(KEYS, anything(), STAMPS), max_size=12)


def decode(batch: Sequence[tuple[bytes | None, bytes | None, int]]) -> Decoded:
    keys, values, stamps = zip(*batch, strict=True) if batch else ((), (), ())
    return DECODER.decode(list(keys), list(values), list(stamps))


def facts(decoded: Decoded) -> dict[int, Any]:
    """What became of each row."""
    events = decoded.events
    found: dict[int, Any] = {r.row: (r.reason, r.field) for r in decoded.rejections}
    for place, row in enumerate(decoded.rows.tolist()):
        found[row] = [
            events.transaction_ids[place],
            int(events.event_time_ms[place]),
            *(column[place] for column in events.columns.values()),
        ]
    return found


@given(batch=BATCHES)
@settings(max_examples=500)
def test_each_record_is_one_event_or_one_rejection(
    batch: list[tuple[bytes | None, bytes | None, int]],
) -> None:
    decoded = decode(batch)

    rows = [*decoded.rows.tolist(), *(r.row for r in decoded.rejections)]
    assert sorted(rows) == list(range(len(batch)))
    assert decoded.rows.tolist() == sorted(decoded.rows.tolist())
    for rejection in decoded.rejections:
        assert isinstance(rejection.reason, Reason)
        assert (rejection.field is None) == (rejection.reason in WHOLE_RECORD)
        assert rejection.field is None or rejection.field in NAMES


@given(batch=BATCHES)
@settings(max_examples=500)
def test_a_record_is_judged_by_itself(
    batch: list[tuple[bytes | None, bytes | None, int]],
) -> None:
    alone = [facts(decode([record]))[0] for record in batch]

    together = facts(decode(batch))

    assert [together[row] for row in range(len(batch))] == alone


@given(value=st.one_of(records(), damaged_records()))
@settings(max_examples=2000)
@example(value=b'{"amount":"x","amount":1}')
def test_both_readings_of_a_record_agree(value: bytes) -> None:
    """What the fast one takes the slow one takes too, and as the same."""
    if check_envelopes([value], max_value_bytes=65_536) is not None:
        return
    slow = PARSER.read_slowly(value)
    try:
        fast = PARSER._decode(value)
    except msgspec.MsgspecError:
        fast = None

    if fast is not None:
        assert repr(slow) == repr(fast)
    (objects, malformed) = PARSER.parse([value])
    assert len(objects) + len(malformed) == 1
    assert bool(malformed) == isinstance(slow, tuple)


def reference(value: bytes) -> bool:
    """Whether a record is an event, slowly and by other means (no key, no stamp)."""
    try:
        content = json.loads(value, parse_float=Decimal, parse_constant=lambda _: 1 / 0)
    except (ValueError, ZeroDivisionError):
        return False
    return isinstance(content, dict) and all(
        reference_field(field, content.get(field.name)) for field in EVERY_TYPE.fields
    )


def reference_field(field: Field, found: Any) -> bool:
    if found is None:
        return not field.required
    if field.type == "text":
        is_identity = field.name in {"transaction_id", "customer_id"}
        return isinstance(found, str) and is_identity <= len(found) <= field.max_length
    if field.type == "boolean":
        return isinstance(found, bool)
    if field.type == "time":
        return reference_time(found, is_event_time=field.name == "event_time")
    if field.type == "date":
        return reference_date(found)
    return reference_number(field, found)


def reference_number(field: Field, content: Any) -> bool:
    """Numbers are read as binary64; the decimal with the shortest text is meant."""
    kinds: dict[str, tuple[type, ...]] = {
        "number": (int, Decimal),
        "text": (str,),
        "minor": (int,),
    }
    kind = kinds["minor" if field.type == "integer" else field.encoding]
    if isinstance(content, bool) or not isinstance(content, kind):
        return False
    found: Any = content
    if isinstance(found, str) and not PLAIN_DECIMAL.fullmatch(found):
        return False
    try:
        binary = isinstance(found, int | Decimal) and kind == kinds["number"]
        number = Decimal(repr(float(found)) if binary else str(found))
    except OverflowError:
        return False
    if field.encoding == "minor":
        number = number.scaleb(-field.decimals)
    units = number.scaleb(field.decimals)
    return (
        number.is_finite()
        and units == units.to_integral_value()
        and abs(units) <= MAX_MAGNITUDE
        and (field.minimum is None or number >= Decimal(repr(field.minimum)))
        and (field.maximum is None or number <= Decimal(repr(field.maximum)))
    )


def reference_date(found: Any) -> bool:
    if not isinstance(found, str) or not DATE_SHAPE.fullmatch(found):
        return False
    try:
        # The standard library begins with the year 1; 2000 has the same days as 0.
        dt.date.fromisoformat(re.sub("^0000", "2000", found))
    except ValueError:
        return False
    return True


def reference_time(found: Any, *, is_event_time: bool) -> bool:
    first = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
    end = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
    if isinstance(found, int) and not isinstance(found, bool):
        return first.timestamp() * 1000 <= found < end.timestamp() * 1000
    if not isinstance(found, str) or not RFC_3339_SHAPE.fullmatch(found):
        return False
    try:
        # The standard library begins with the year 1; 2000 has the same days as 0.
        at = dt.datetime.fromisoformat(re.sub("^0000", "2000", found.upper()))
    except ValueError:
        return False
    return not is_event_time or (first <= at < end and found[:4] != "0000")


@given(value=st.one_of(records(), damaged_records()))
@settings(max_examples=2000)
def test_what_is_accepted_is_what_a_slow_reading_accepts(value: bytes) -> None:
    decoder = Decoder(EVERY_TYPE, key_is_entity=None)

    decoded = decoder.decode([None], [value], [-1])

    reason = decoded.rejections[0].reason if decoded.rejections else None
    if reason not in {Reason.TOO_DEEP, Reason.NOT_UTF8, Reason.NOT_JSON}:
        assert (reason is None) == reference(value), decoded.rejections


@given(ms=st.integers(-62_167_219_200_000, 253_402_300_799_999))
def test_a_written_time_is_read_back(ms: int) -> None:
    (text,) = format_times(np.array([ms]))

    assert parse_times([text])[0].tolist() == [ms]


@given(at=st.datetimes(), offset=st.integers(-1439, 1439))
def test_times_are_those_of_the_standard_library(at: dt.datetime, offset: int) -> None:
    zone = dt.timezone(dt.timedelta(minutes=offset))
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    local = at.replace(tzinfo=zone)

    (ms,), codes = parse_times([local.isoformat()])

    assert codes is None
    # Without its zone first: an offset may lead out of the years 1 to 9999.
    naive = local.replace(tzinfo=dt.UTC) - epoch
    assert ms == naive // dt.timedelta(milliseconds=1) - offset * 60_000


@given(texts=st.lists(st.text(max_size=30), max_size=5))
def test_no_text_breaks_the_reading_of_times(texts: list[str]) -> None:
    ms, codes = parse_times(texts)

    assert len(ms) == len(texts)
    if texts:
        assert codes is not None
        assert (ms == MISSING).tolist() == (codes > 0).tolist()


@given(day=st.dates())
def test_dates_are_those_of_the_standard_library(day: dt.date) -> None:
    days, codes = parse_dates([day.isoformat()])

    assert codes is None
    assert days.tolist() == [(day - dt.date(1970, 1, 1)).days]
    assert format_dates(days) == [day.isoformat()]


@given(texts=st.lists(st.text(max_size=11), max_size=5))
def test_no_text_breaks_the_reading_of_dates(texts: list[str]) -> None:
    days, codes = parse_dates(texts)

    bad = [False] * len(texts) if codes is None else (codes > 0).tolist()
    assert (days == MISSING).tolist() == bad
    assert [not reference_date(text) for text in texts] == bad


AMOUNTS = st.one_of(
    st.none(),
    st.integers(-10, 10**8 + 2).map(lambda units: units / 100),
    st.floats(allow_nan=False, allow_infinity=False, width=64),
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "transaction_id": st.sampled_from(["", "1", "x" * 65, None]),
            "event_time": st.sampled_from(
                ["2018-07-25T00:00:31Z", "2018-07-25", EVENT_TIME_MS, 1, None]
            ),
            "customer_id": st.sampled_from(["a", "é", None]),
            "terminal_id": st.sampled_from(["", "b", "b" * 17]),
            "amount": AMOUNTS,
            "items": st.sampled_from([None, 0, -5, -6, 10**6, 10**18, 2**63]),
            "is_online": st.sampled_from([None, True, False, 1, "true"]),
            "fee": st.sampled_from([None, "1", "1.0005", "101", "x"]),
            "tip": st.sampled_from([None, 1, 10**13]),
            "opened": st.sampled_from([None, EVENT_TIME_MS, "1961-04-12T06:07:00Z"]),
            "note": st.sampled_from([None, "", "12345", "123456"]),
            "born": st.sampled_from([None, "1985-03-07", "1985-02-29", "", 5]),
        }
    ),
    max_size=8,
)


@given(rows=ROWS)
@settings(max_examples=500)
def test_a_file_and_a_stream_agree(rows: list[dict[str, Any]]) -> None:
    """The same rows as typed columns and as JSON: the same events and reasons."""
    decoder = Decoder(EVERY_TYPE, key_is_entity=None)
    values = [json.dumps(row).encode() for row in rows]
    columns = {name: [row[name] for row in rows] for name in NAMES}

    streamed = decoder.decode([None] * len(rows), values, [-1] * len(rows))
    read = columns_to_events(EVERY_TYPE, columns)

    assert facts(read) == facts(streamed)


def test_the_property_would_notice_a_difference() -> None:
    """The reference refuses and accepts: it is not always of the decoder's opinion."""
    good = {
        "transaction_id": "1",
        "event_time": EVENT_TIME_MS,
        "customer_id": "a",
        "terminal_id": "b",
        "amount": 57.16,
    }

    assert reference(json.dumps(good).encode())
    for name, wrong in (("amount", 57.161), ("event_time", 1), ("customer_id", "")):
        assert not reference(json.dumps(good | {name: wrong}).encode())
