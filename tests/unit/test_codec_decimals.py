"""Decimals are integers of their smallest unit, exactly, or they are refused."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest

from tests.codec_builders import column, payload_with, problem, schema
from worker.records import MAX_MAGNITUDE, EventSchema, Field, Reason


def amounts(decimals: int, encoding: str, **changes: float | None) -> EventSchema:
    return EventSchema(
        (
            Field("id", "text"),
            Field("at", "time"),
            Field("x", "decimal", decimals=decimals, encoding=encoding, **changes),  # type: ignore[arg-type]
        ),
        "id",
        "at",
        ("id",),
        0,
    )


def record(json_text: str) -> bytes:
    return b'{"id":"1","at":"2018-07-25T00:00:31Z","x":' + json_text.encode() + b"}"


def held(json_text: str, of: EventSchema) -> int:
    found = column("x", record(json_text), of=of)
    assert isinstance(found, int)
    return found


def refused(json_text: str, of: EventSchema) -> Reason:
    good = '"1"' if of.field("x").encoding == "text" else "1"
    found = problem(record(json_text), of=of, good=record(good))
    assert found is not None
    assert found[1] == "x"
    return found[0]


@pytest.mark.parametrize(
    ("number", "units"),
    [
        ("57.16", 5716),
        ("57.160000", 5716),
        ("-57.16", -5716),
        ("0", 0),
        ("-0", 0),
        ("-0.0", 0),
        ("1e2", 10_000),
        ("1E+2", 10_000),
        ("5716e-2", 5716),
        ("0.29", 29),
        ("1.15", 115),
        ("10000000000", MAX_MAGNITUDE),
        ("-9999999999.99", 1 - MAX_MAGNITUDE),
        ("0e999999", 0),
    ],
)
def test_numbers_are_held_exactly(number: str, units: int) -> None:
    assert held(number, amounts(2, "number")) == units


def test_every_number_with_the_declared_decimals_is_accepted() -> None:
    chosen = random.Random(0)
    for decimals in range(10):
        of, as_text = amounts(decimals, "number"), amounts(decimals, "text")
        limits = [MAX_MAGNITUDE, MAX_MAGNITUDE - 1, 10**11 + 1]
        for units in limits + [chosen.randrange(10**12) for _ in range(30)]:
            text = format(Decimal(units).scaleb(-decimals), "f")
            assert held(text, of) == units
            assert held(f'"-{text}"', as_text) == -units


def test_one_digit_more_than_declared_is_refused() -> None:
    chosen = random.Random(0)
    for decimals in range(10):
        of, as_text = amounts(decimals, "number"), amounts(decimals, "text")
        for units in [1, 9, *(chosen.randrange(1, 10**12, 10) for _ in range(20))]:
            text = format(Decimal(units).scaleb(-decimals - 1), "f")
            assert refused(text, of) is Reason.TOO_MANY_DECIMALS
            assert refused(f'"{text}"', as_text) is Reason.TOO_MANY_DECIMALS


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("57.16", 5716),
        ("57.1600000", 5716),
        ("57", 5700),
        ("57.1", 5710),
        ("-0.01", -1),
        ("0.00", 0),
        ("-0", 0),
        ("10000000000.00", MAX_MAGNITUDE),
    ],
)
def test_texts_are_held_exactly(text: str, units: int) -> None:
    assert held(f'"{text}"', amounts(2, "text")) == units


@pytest.mark.parametrize(
    "text", ["10000000000.01", "1" * 30, "-" + "9" * 5000, "1" * 20 + ".123"]
)
def test_a_text_beyond_the_largest_magnitude_is_out_of_range(text: str) -> None:
    assert refused(f'"{text}"', amounts(2, "text")) is Reason.OUT_OF_RANGE


def test_minor_units_are_integers() -> None:
    of = amounts(2, "minor")

    assert held("5716", of) == 5716
    assert held("-0", of) == 0
    assert refused("57.16", of) is Reason.WRONG_TYPE
    assert refused("5716.0", of) is Reason.WRONG_TYPE
    assert refused(str(MAX_MAGNITUDE + 1), of) is Reason.OUT_OF_RANGE


@pytest.mark.parametrize(
    ("encoding", "low", "below", "high", "above"),
    [
        ("number", "0.1", "0.09", "2.34", "2.35"),
        ("text", '"0.1"', '"0.09"', '"2.34"', '"2.35"'),
        ("minor", "10", "9", "234", "235"),
    ],
)
def test_bounds_are_inclusive_and_in_the_fields_own_unit(
    encoding: str, low: str, below: str, high: str, above: str
) -> None:
    of = amounts(2, encoding, minimum=0.1, maximum=2.345)

    assert (held(low, of), held(high, of)) == (10, 234)
    assert refused_within(below, of, good=low) is Reason.OUT_OF_RANGE
    assert refused_within(above, of, good=low) is Reason.OUT_OF_RANGE


def test_a_bound_between_two_units_lies_inside() -> None:
    of = amounts(1, "number", minimum=-0.25, maximum=0.25)

    assert (held("-0.2", of), held("0.2", of)) == (-2, 2)
    assert refused_within("-0.3", of, good="0") is Reason.OUT_OF_RANGE
    assert refused_within("0.3", of, good="0") is Reason.OUT_OF_RANGE


def refused_within(json_text: str, of: EventSchema, *, good: str) -> Reason:
    found = problem(record(json_text), of=of, good=record(good))
    assert found is not None
    return found[0]


def test_excess_digits_are_named_where_the_value_lies_in_the_range() -> None:
    assert problem(payload_with("amount", "-0.001")) == (
        Reason.TOO_MANY_DECIMALS,
        "amount",
    )
    assert problem(payload_with("amount", "-5.001")) == (Reason.OUT_OF_RANGE, "amount")


def test_integers_have_bounds_too() -> None:
    of = schema(Field("items", "integer", required=False, minimum=1, maximum=9))

    for number, found in (
        (0, Reason.OUT_OF_RANGE),
        (1, None),
        (9, None),
        (10, Reason.OUT_OF_RANGE),
    ):
        value = payload_with("items", str(number))
        assert problem(value, of=of) == (found and (found, "items"))
