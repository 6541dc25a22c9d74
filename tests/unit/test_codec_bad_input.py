"""Each kind of bad input is one dead letter with its own reason; the stream goes on.

`problem` decodes the record between two good ones and checks that these come through.
"""

from __future__ import annotations

import pytest

from tests.codec_builders import (
    ABSENT,
    EVENT_TIME_MS,
    decode,
    payload,
    payload_with,
    problem,
    schema,
)
from worker.codec import MAX_DEPTH, MAX_VALUE_BYTES, Decoder
from worker.records import Field, Reason

WHOLE = None


def nested(levels: int) -> bytes:
    """A valid transaction with an unknown field; the object itself is one level."""
    return payload_with("note", "[" * (levels - 1) + "]" * (levels - 1))


def test_a_tombstone() -> None:
    assert problem(None) == (Reason.TOMBSTONE, WHOLE)


def test_an_empty_value() -> None:
    assert problem(b"") == (Reason.EMPTY, WHOLE)


@pytest.mark.parametrize(
    "value",
    [
        b"transaction",
        b" ",
        payload()[:-1],
        payload() + b"x",
        payload() * 2,
        payload().replace(b'"', b"'"),
        payload().replace(b"}", b",}"),
        b"\xef\xbb\xbf" + payload(),
        payload().decode().encode("utf-16-le"),
        payload_with("note", "01"),
        payload_with("note", '"a\tb"'),
        b"\x01" + payload(),
    ],
)
def test_what_is_not_json(value: bytes) -> None:
    assert problem(value) == (Reason.NOT_JSON, WHOLE)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "nan", "+1", ".5"])
def test_numbers_that_json_does_not_have(number: str) -> None:
    assert problem(payload_with("amount", number)) == (Reason.NOT_JSON, WHOLE)
    assert problem(payload_with("note", number)) == (Reason.NOT_JSON, WHOLE)


@pytest.mark.parametrize(
    "value", [b"[]", b"null", b"1", b'"text"', b"true", b"[" + payload() + b"]"]
)
def test_a_top_level_that_is_no_object(value: bytes) -> None:
    assert problem(value) == (Reason.NOT_AN_OBJECT, WHOLE)


def test_a_malformed_array_is_not_json_rather_than_not_an_object() -> None:
    assert problem(b"[1") == (Reason.NOT_JSON, WHOLE)


def test_the_framing_of_a_schema_registry() -> None:
    framed = b"\x00\x00\x00\x00\x2a" + payload()

    assert problem(framed) == (Reason.SCHEMA_FRAMING, WHOLE)


@pytest.mark.parametrize(
    "name", ["transaction_id", "event_time", "customer_id", "terminal_id", "amount"]
)
def test_a_missing_field(name: str) -> None:
    assert problem(payload(**{name: ABSENT})) == (Reason.MISSING_FIELD, name)


@pytest.mark.parametrize(
    "name", ["transaction_id", "event_time", "customer_id", "terminal_id", "amount"]
)
def test_a_null_field(name: str) -> None:
    assert problem(payload(**{name: None})) == (Reason.NULL_FIELD, name)


@pytest.mark.parametrize(
    ("name", "json_text"),
    [
        ("amount", "true"),
        ("amount", '"57.16"'),
        ("amount", "[57.16]"),
        ("amount", '{"value":57.16}'),
        ("customer_id", "596"),
        ("customer_id", "596.0"),
        ("customer_id", "18446744073709551616"),
        ("customer_id", "1e999"),
        ("customer_id", "false"),
        ("event_time", "true"),
        ("event_time", "1532476831000.0"),
        ("event_time", "1.532476831e12"),
        ("event_time", "[]"),
        ("items", "2.0"),
        ("items", "2e0"),
        ("items", "true"),
        ("items", '"2"'),
        ("is_online", "1"),
        ("is_online", '"true"'),
        ("fee", "1.25"),
        ("fee_text", "1.25"),
    ],
)
def test_a_wrong_type(name: str, json_text: str) -> None:
    of = schema(
        Field("items", "integer", required=False),
        Field("is_online", "boolean", required=False),
        Field("fee", "decimal", decimals=2, encoding="minor", required=False),
        Field("fee_text", "decimal", decimals=2, encoding="text", required=False),
    )

    assert problem(payload_with(name, json_text), of=of) == (Reason.WRONG_TYPE, name)


@pytest.mark.parametrize(
    "amount",
    ["-0.01", "1000000.01", "1e7", "1e300", "1e999", "-1e999", "1" * 400, "9" * 5000],
)
def test_a_decimal_out_of_range(amount: str) -> None:
    assert problem(payload_with("amount", amount)) == (Reason.OUT_OF_RANGE, "amount")


@pytest.mark.parametrize(
    "number",
    [
        "1000000000001",
        "-1000000000001",
        "9223372036854775808",
        "-9223372036854775808",
        "18446744073709551616",
        "1" * 400,
        "-" + "1" * 5000,
    ],
)
def test_an_integer_out_of_range_also_beyond_64_bits(number: str) -> None:
    of = schema(
        Field("items", "integer", required=False),
        Field("fee", "decimal", decimals=2, encoding="minor", required=False),
    )

    for name in ("items", "fee"):
        value = payload_with(name, number)
        assert problem(value, of=of) == (Reason.OUT_OF_RANGE, name)


@pytest.mark.parametrize("amount", ["57.161", "0.001", "1e-3", "57.16000001", "1e-300"])
def test_more_decimals_than_declared(amount: str) -> None:
    value = payload_with("amount", amount)

    assert problem(value) == (Reason.TOO_MANY_DECIMALS, "amount")


def test_more_decimals_than_declared_in_a_text() -> None:
    of = schema(amount={"encoding": "text"})
    good = payload(amount="57.16")

    found = problem(payload(amount="57.161"), of=of, good=good)

    assert found == (Reason.TOO_MANY_DECIMALS, "amount")


@pytest.mark.parametrize(
    "text", ["", "x", "1,5", "1e2", "+1", "01", ".5", "5.", "--1", "NaN", "1 ", "٣"]
)
def test_a_text_that_is_no_decimal(text: str) -> None:
    of = schema(amount={"encoding": "text"})
    good = payload(amount="57.16")

    found = problem(payload(amount=text), of=of, good=good)

    assert found == (Reason.WRONG_TYPE, "amount")


@pytest.mark.parametrize(
    "text", ["2018-07-25T00:00:31", "2018-07-25 00:00:31.5", "2018-07-25t00:00:31.000"]
)
def test_a_time_without_offset(text: str) -> None:
    value = payload(event_time=text)

    assert problem(value) == (Reason.TIME_WITHOUT_OFFSET, "event_time")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2018-07-25",
        "1532476831000",
        "2018-02-29T00:00:00Z",
        "25/07/18",
    ],
)
def test_a_text_that_is_no_time(text: str) -> None:
    assert problem(payload(event_time=text)) == (Reason.BAD_TIME, "event_time")


@pytest.mark.parametrize(
    "number",
    [
        EVENT_TIME_MS // 1000,
        EVENT_TIME_MS * 1000,
        EVENT_TIME_MS * 1_000_000,
        946_684_800,
        4_102_444_799_999_999_999,
    ],
)
def test_a_time_in_seconds_microseconds_or_nanoseconds(number: int) -> None:
    assert problem(payload(event_time=number)) == (Reason.TIME_UNIT, "event_time")


@pytest.mark.parametrize(
    "number",
    [
        0,
        -1,
        946_684_799_999,
        4_102_444_800_000,
        946_684_799,
        4_102_444_800,
        4_102_444_800_000_000,
        4_102_444_800_000_000_000,
        2**63 - 1,
        -(2**63),
        2**64,
    ],
)
def test_a_number_that_is_a_time_in_no_unit(number: int) -> None:
    assert problem(payload(event_time=number)) == (Reason.OUT_OF_RANGE, "event_time")


@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00:00Z", "1999-12-31T23:59:59.999Z", "9999-12-31T23:59:59Z"]
)
def test_an_event_time_that_is_not_plausible(text: str) -> None:
    assert problem(payload(event_time=text)) == (Reason.OUT_OF_RANGE, "event_time")


def test_a_text_that_is_too_long() -> None:
    assert problem(payload(customer_id="5" * 16)) is None
    found = problem(payload(customer_id="5" * 17))

    assert found == (Reason.TEXT_TOO_LONG, "customer_id")


@pytest.mark.parametrize("name", ["transaction_id", "customer_id"])
def test_an_identity_that_is_empty(name: str) -> None:
    assert problem(payload(**{name: ""})) == (Reason.TEXT_EMPTY, name)


def test_an_event_time_ahead_of_the_timestamp() -> None:
    at_most = EVENT_TIME_MS - 300_000

    assert problem(payload(), timestamps_ms=[at_most]) is None
    found = problem(payload(), timestamps_ms=[at_most - 1])

    assert found == (Reason.TIME_AHEAD, "event_time")


def test_no_event_time_is_ahead_where_a_record_has_no_timestamp() -> None:
    assert problem(payload(), timestamps_ms=[-1]) is None


def test_a_timestamp_at_the_end_of_64_bits_does_no_harm() -> None:
    assert problem(payload(), timestamps_ms=[2**63 - 1]) is None


@pytest.mark.parametrize("key", [None, b""])
def test_no_key(key: bytes | None) -> None:
    assert problem(payload(), keys=[key]) == (Reason.NO_KEY, "customer_id")


@pytest.mark.parametrize("key", [b"597", b"596 ", b"0596", b'"596"', b"\xff", b"5"])
def test_a_key_that_is_not_the_entity(key: bytes) -> None:
    assert problem(payload(), keys=[key]) == (Reason.KEY_MISMATCH, "customer_id")


def test_sixty_four_kibibytes_and_more() -> None:
    padded = payload(note="").replace(b'""', b'"' + b"x" * 100_000 + b'"')
    surplus = len(padded) - MAX_VALUE_BYTES
    longest = padded.replace(b"x" * surplus, b"", 1)

    assert len(longest) == MAX_VALUE_BYTES
    assert problem(longest) is None
    assert problem(longest + b" ") == (Reason.TOO_LARGE, WHOLE)
    assert problem(b"\x00" * 10_000_000) == (Reason.TOO_LARGE, WHOLE)


def test_the_largest_value_can_be_set() -> None:
    decoder = Decoder(schema(), key_is_entity=None, max_value_bytes=10)

    decoded = decoder.decode([None, None], [payload(), b"1234567890"], [-1, -1])

    reasons = [rejection.reason for rejection in decoded.rejections]
    assert reasons == [Reason.TOO_LARGE, Reason.NOT_AN_OBJECT]


@pytest.mark.parametrize(
    "value",
    [
        payload().replace(b"3156", b"\xff"),
        payload(note="x").replace(b"x", b"\xc3"),
        payload(note="x").replace(b"note", b"n\x80te"),
        payload(note="x").replace(b"x", b"\xed\xa0\x80"),
        payload(note="x").replace(b"x", b"\xc0\x80"),
        payload().decode().encode("utf-16"),
        "[]é".encode("latin-1"),
    ],
)
def test_invalid_utf_8_wherever_it_stands(value: bytes) -> None:
    assert problem(value) == (Reason.NOT_UTF8, WHOLE)


def test_a_character_that_is_cut_is_not_mended_by_the_next_record() -> None:
    first, second = payload() + b"\xc3", b"\xa9" + payload()

    decoded = decode(first, second, payload(note="é"))

    assert [r.reason for r in decoded.rejections] == [Reason.NOT_UTF8] * 2
    assert decoded.rows.tolist() == [2]


@pytest.mark.parametrize("half", [r"\ud800", r"\udc00", r"\ud800A", r"\ud800\ud800"])
@pytest.mark.parametrize("name", ["terminal_id", "note", "event_time", "amount"])
def test_half_of_a_surrogate_pair(half: str, name: str) -> None:
    value = payload_with(name, f'"{half} and more text"')

    assert problem(value) == (Reason.NOT_JSON, WHOLE)


@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 1000, 10_000])
def test_a_thousand_levels_of_nesting(levels: int) -> None:
    assert problem(nested(levels)) == (Reason.TOO_DEEP, WHOLE)
    assert problem(b"[" * levels) == (Reason.TOO_DEEP, WHOLE)
    assert problem(b'{"a":' * levels) == (Reason.TOO_DEEP, WHOLE)


def test_as_many_levels_as_allowed() -> None:
    assert problem(nested(MAX_DEPTH)) is None


def test_depth_does_not_depend_on_the_callers_stack() -> None:
    def from_a_depth_of(calls: int) -> tuple[Reason, str | None] | None:
        if calls:
            return from_a_depth_of(calls - 1)
        return problem(nested(MAX_DEPTH))

    assert from_a_depth_of(500) is None


def test_brackets_in_texts_and_side_by_side_are_no_depth() -> None:
    many = r'"\\\"[[[{{{' + "[{" * 500 + '"'

    assert problem(payload_with("note", many)) is None
    assert problem(payload_with("note", "[" + "[{}]," * 500 + "1]")) is None
    assert problem(payload_with("note", f"[{'[],' * 99}{'[' * 62}{']' * 62}]")) is None


def test_depth_is_counted_behind_a_text_that_ends_in_a_backslash() -> None:
    deep = "[" * 1000 + "]" * 1000

    found = problem(payload_with("note", rf'["\\",{deep}]'))

    assert found == (Reason.TOO_DEEP, WHOLE)


def test_a_batch_of_nothing_but_bad_records_has_no_events() -> None:
    decoded = decode(None, b"", b"x", payload(amount=-1))

    assert len(decoded.events) == 0
    assert decoded.rows.tolist() == []
    assert [r.row for r in decoded.rejections] == [0, 1, 2, 3]


def test_a_batch_of_no_records_has_no_events() -> None:
    decoded = decode(keys=[])

    assert len(decoded.events) == 0
    assert list(decoded.rejections) == []
