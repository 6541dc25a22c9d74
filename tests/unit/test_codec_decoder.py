"""What the decoder accepts, what it makes of it, and which problem it names first."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from tests.codec_builders import (
    ABSENT,
    EVENT_TIME_MS,
    column,
    contents,
    decode,
    payload,
    payload_with,
    problem,
    schema,
)
from worker.codec import Decoder
from worker.errors import InvalidConfig
from worker.records import MISSING, EventSchema, Field, Reason


def test_a_transaction_becomes_an_event() -> None:
    decoded = decode(payload(), keys=[b"596"], timestamps_ms=[EVENT_TIME_MS])

    assert decoded.events.transaction_ids == ["8412"]
    assert decoded.events.event_time_ms.tolist() == [EVENT_TIME_MS]
    assert decoded.events.columns["customer_id"] == ["596"]
    assert decoded.events.columns["terminal_id"] == ["3156"]
    assert column("amount", payload()) == 5716
    assert set(decoded.events.columns) == {"customer_id", "terminal_id", "amount"}


def test_events_and_rejections_keep_the_rows_of_their_batch() -> None:
    bad = payload(amount=-1)
    values = [bad, payload(), None, payload(), b"{", payload(), bad]

    decoded = decode(*values)

    assert decoded.rows.tolist() == [1, 3, 5]
    assert [tuple(r) for r in decoded.rejections] == [
        (0, Reason.OUT_OF_RANGE, "amount"),
        (2, Reason.TOMBSTONE, None),
        (4, Reason.NOT_JSON, None),
        (6, Reason.OUT_OF_RANGE, "amount"),
    ]


def test_unknown_fields_are_ignored() -> None:
    for json_text in ("1e999", "null", '{"a":[1,{"b":"é"}]}', "1" * 6000, '""'):
        assert problem(payload_with("note", json_text)) is None


def test_of_a_repeated_key_the_last_counts() -> None:
    def twice(first: str, last: str) -> bytes:
        value = payload_with("amount", last)
        return value.replace(b"{", b'{"amount":' + first.encode() + b",", 1)

    for first in ("1", "null", '"text"', "1e999", "-1", "0.001", '"\\u00e9"'):
        assert column("amount", twice(first, "57.16")) == 5716
    assert problem(twice("57.16", "-1")) == (Reason.OUT_OF_RANGE, "amount")
    assert problem(twice("57.16", "null")) == (Reason.NULL_FIELD, "amount")


def test_a_key_may_be_written_with_escapes() -> None:
    escaped = payload().replace(b'"amount"', rb'"am\u006funt"')

    assert column("amount", escaped) == 5716


def test_white_space_around_json_is_allowed() -> None:
    spacious = b"\n\t " + json.dumps(contents(), indent=2).encode() + b" \r\n"

    assert problem(spacious) is None


@pytest.mark.parametrize(
    "text", ["é", "ключ", "客户", "😀" * 16, "a\x00b", 'a"\n\\', "\u2028"]
)
def test_ids_and_keys_are_any_text(text: str) -> None:
    value = payload(transaction_id=text, customer_id=text)

    decoded = decode(value, keys=[text.encode()])

    assert decoded.events.transaction_ids == [text]
    assert decoded.events.columns["customer_id"] == [text]


def test_texts_are_measured_in_characters() -> None:
    assert problem(payload(customer_id="😀" * 16)) is None
    too_long = problem(payload(customer_id="😀" * 17))

    assert too_long == (Reason.TEXT_TOO_LONG, "customer_id")


def test_a_text_that_identifies_nothing_may_be_empty() -> None:
    assert column("terminal_id", payload(terminal_id="")) == ""


@pytest.mark.parametrize("absent", [ABSENT, None])
def test_an_optional_field_may_be_missing_or_null(absent: Any) -> None:
    for field, value, held, nothing in (
        (Field("x", "text", required=False), "a", "a", None),
        (Field("x", "integer", required=False), 7, 7, MISSING),
        (Field("x", "boolean", required=False), True, 1, MISSING),
        (Field("x", "decimal", required=False, decimals=1), 7.5, 75, MISSING),
        (
            Field("x", "decimal", required=False, decimals=1, encoding="text"),
            "7.5",
            75,
            MISSING,
        ),
        (
            Field("x", "decimal", required=False, decimals=1, encoding="minor"),
            75,
            75,
            MISSING,
        ),
        (Field("x", "time", required=False), EVENT_TIME_MS, EVENT_TIME_MS, MISSING),
    ):
        of = schema(field)
        decoded = decode(payload(x=absent), payload(x=value), payload(x=absent), of=of)

        assert list(decoded.events.columns["x"]) == [nothing, held, nothing]


def test_optional_fields_are_judged_where_they_are_given() -> None:
    of = schema(Field("x", "decimal", required=False, decimals=1, encoding="text"))
    values = [payload(), payload(x="7.55"), payload(x="7.5"), payload(x="?")]

    decoded = decode(*values, of=of)

    assert [tuple(r) for r in decoded.rejections] == [
        (1, Reason.TOO_MANY_DECIMALS, "x"),
        (3, Reason.WRONG_TYPE, "x"),
    ]


def test_what_identifies_an_event_is_required_whatever_the_field_says() -> None:
    optional = {"required": False}
    of = schema(transaction_id=optional, event_time=optional, customer_id=optional)

    for name in ("transaction_id", "event_time", "customer_id"):
        value = payload(**{name: None})
        assert problem(value, of=of) == (Reason.NULL_FIELD, name)


def integer_ids(**changes: Any) -> EventSchema:
    integer = {"type": "integer"} | changes
    return schema(transaction_id=integer, customer_id=integer)


def test_integers_that_identify_are_held_as_text() -> None:
    value = payload(transaction_id=2**63 - 1, customer_id=-(2**63) + 1)
    key = str(-(2**63) + 1).encode()

    decoded = decode(value, of=integer_ids(), keys=[key])

    assert decoded.events.transaction_ids == [str(2**63 - 1)]
    assert decoded.events.columns["customer_id"] == [key.decode()]


def test_integers_that_identify_keep_64_bits_and_a_declared_range() -> None:
    good = payload(transaction_id=1, customer_id=1)
    ranged = integer_ids(minimum=1, maximum=10)

    def found(of: EventSchema, customer_id: int) -> tuple[Reason, str | None] | None:
        value = payload(transaction_id=1, customer_id=customer_id)
        return problem(value, of=of, good=good)

    assert found(integer_ids(), 2**63) == (Reason.OUT_OF_RANGE, "customer_id")
    assert found(integer_ids(), 10**15) is None
    assert found(ranged, 11) == (Reason.OUT_OF_RANGE, "customer_id")
    assert found(ranged, 10) is None


@pytest.mark.parametrize("key", [b"0596", b"596.0", b"+596", b" 596"])
def test_the_key_of_an_integer_is_its_decimal_text(key: bytes) -> None:
    value = payload(transaction_id=1, customer_id=596)

    decoded = decode(value, of=integer_ids(), keys=[key])

    assert [r.reason for r in decoded.rejections] == [Reason.KEY_MISMATCH]


def test_the_key_may_be_that_of_a_later_entity() -> None:
    fields = schema().fields
    two = EventSchema(
        fields, "transaction_id", "event_time", ("customer_id", "terminal_id"), 0
    )
    decoder = Decoder(two, key_is_entity=1)

    decoded = decoder.decode([b"3156", b"596"], [payload()] * 2, [-1, -1])

    assert [tuple(r) for r in decoded.rejections] == [
        (1, Reason.KEY_MISMATCH, "terminal_id")
    ]


def test_a_field_may_bear_any_name_that_needs_no_escape() -> None:
    for name in ("class", "card number", "é", "__init__", "f0", "a.b", "$", ""):
        of = schema(Field(name, "integer"))
        assert column(name, payload(**{name: 7}), of=of) == 7


def test_a_name_that_needs_an_escape_is_refused_at_the_start() -> None:
    names = ['a"b', "a\\b", "a\nb", "\ud800"]

    with pytest.raises(InvalidConfig) as caught:
        Decoder(schema(*(Field(name, "integer") for name in names)))

    assert len(caught.value.problems) == len(names)


#: Worst first; each may be put into a record that has all of the later ones.
IN_ORDER: list[tuple[Reason, str | None, dict[str, Any]]] = [
    (Reason.NOT_JSON, None, {}),
    (Reason.NULL_FIELD, "transaction_id", {"transaction_id": None}),
    (Reason.TEXT_TOO_LONG, "customer_id", {"customer_id": "5" * 99}),
    (Reason.MISSING_FIELD, "terminal_id", {"terminal_id": ABSENT}),
    (Reason.WRONG_TYPE, "amount", {"amount": "57.16"}),
    (Reason.BAD_TIME, "event_time", {"event_time": "?"}),
    (Reason.TOO_MANY_DECIMALS, "amount", {"amount": 0.001}),
    (Reason.KEY_MISMATCH, "customer_id", {}),
]


def test_of_several_problems_the_first_in_order_is_named() -> None:
    changes: dict[str, Any] = {}
    for reason, name, change in reversed(IN_ORDER):
        changes |= change
        value = payload(**changes)
        if reason is Reason.NOT_JSON:
            value += b"}"
        stamp = EVENT_TIME_MS - 10**9

        found = problem(value, keys=[b"other"], timestamps_ms=[stamp])

        assert found == (reason, name)


def test_a_bad_envelope_comes_before_anything_in_it() -> None:
    deep = b'{"a":' * 65 + b"\xff"
    values = [b"\x00" * 401, b"\x00" + deep, deep, b'{"a":"\xff"']

    decoded = Decoder(schema(), max_value_bytes=400).decode([None] * 4, values, [0] * 4)

    assert [r.reason for r in decoded.rejections] == [
        Reason.TOO_LARGE,
        Reason.SCHEMA_FRAMING,
        Reason.TOO_DEEP,
        Reason.NOT_UTF8,
    ]


def test_no_value_reaches_an_error_or_a_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    card = "4929123412341234"
    caplog.set_level(logging.DEBUG)
    values = [
        payload(customer_id=card * 5),
        payload(amount=card),
        payload(event_time=card),
        card.encode() + b"x",
        b'{"' + card.encode() + b"\xff",
        payload_with("note", f'"{card}\\ud800"'),
    ]

    decoded = decode(*values)

    assert len(decoded.rejections) == len(values)
    assert card not in repr(decoded.rejections)
    assert card not in caplog.text
