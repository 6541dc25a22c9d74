"""Typed columns of files are checked as records are, and mean the same events."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from tests.codec_builders import EVENT_TIME_MS, schema
from worker.codec import columns_to_events
from worker.errors import InvalidConfig
from worker.records import MISSING, Decoded, EventSchema, Field, Reason

NAN = float("nan")


def columns(**changes: Any) -> dict[str, Any]:
    """Three valid transactions as a reader of Parquet files gives them."""
    return {
        "transaction_id": np.array([0, 1, 2], np.int32),
        "event_time": np.array([EVENT_TIME_MS] * 3, "datetime64[ms]"),
        "customer_id": np.array([596, 4961, 2], np.int16),
        "terminal_id": ["3156", "3412", "1365"],
        "amount": np.array([57.16, 81.51, 146.0]),
    } | changes


def rejected(decoded: Decoded) -> list[tuple[int, Reason, str | None]]:
    return [(r.row, r.reason, r.field) for r in decoded.rejections]


def one_field(field: Field, values: Any) -> Decoded:
    """Events with one more field than the usual ones."""
    rows = len(values)
    of = schema(field)
    full = columns(**{field.name: values})
    usual = {name: column[:1] for name, column in columns().items()}
    repeated = {
        name: np.repeat(column, rows)
        if isinstance(column, np.ndarray)
        else column * rows
        for name, column in usual.items()
    }
    return columns_to_events(of, full | repeated)


def held(field: Field, values: Any) -> list[Any]:
    decoded = one_field(field, values)
    assert rejected(decoded) == []
    return list(decoded.events.columns[field.name])


def test_a_typed_table_becomes_events() -> None:
    decoded = columns_to_events(schema(), columns(unknown=[1, 2, 3, 4]))

    assert rejected(decoded) == []
    assert decoded.rows.tolist() == [0, 1, 2]
    assert decoded.events.transaction_ids == ["0", "1", "2"]
    assert decoded.events.event_time_ms.tolist() == [EVENT_TIME_MS] * 3
    assert decoded.events.columns["customer_id"] == ["596", "4961", "2"]
    assert decoded.events.columns["terminal_id"] == ["3156", "3412", "1365"]
    assert list(decoded.events.columns["amount"]) == [5716, 8151, 14600]


@pytest.mark.parametrize(
    ("field", "values", "wanted"),
    [
        (Field("x", "text"), ["a", "é"], ["a", "é"]),
        (Field("x", "text"), np.array(["a", "b"]), ["a", "b"]),
        (Field("x", "text"), [7, "a"], ["7", "a"]),
        (Field("x", "text"), np.array([7, 8], np.uint64), ["7", "8"]),
        (Field("x", "integer"), np.array([7, -8], np.int8), [7, -8]),
        (Field("x", "integer"), np.array([7.0, -8.0]), [7, -8]),
        (Field("x", "integer"), [7, -8], [7, -8]),
        (Field("x", "boolean"), np.array([True, False]), [1, 0]),
        (Field("x", "boolean"), np.array([1, 0], np.int8), [1, 0]),
        (Field("x", "boolean"), [True, False], [1, 0]),
        (Field("x", "decimal", decimals=2), [57.16, 1], [5716, 100]),
        (Field("x", "decimal", decimals=2), ["57.16", "1"], [5716, 100]),
        (Field("x", "decimal", decimals=2), [Decimal("57.16"), 1.5], [5716, 150]),
        (Field("x", "decimal", decimals=2), [Decimal("1E+2"), "1.5"], [10000, 150]),
        (Field("x", "decimal", decimals=2), np.array([57, 1], np.int64), [5700, 100]),
        (
            Field("x", "decimal", decimals=2),
            np.array([57.16, 0.29], np.float32),
            [5716, 29],
        ),
        (
            Field("x", "decimal", decimals=2, encoding="text"),
            np.array([57.16]),
            [5716],
        ),
        (
            Field("x", "decimal", decimals=2, encoding="minor"),
            np.array([5716], np.int64),
            [5716],
        ),
        (
            Field("x", "time"),
            np.array([EVENT_TIME_MS * 1_000_000 + 999_999], "datetime64[ns]"),
            [EVENT_TIME_MS],
        ),
        (Field("x", "time"), np.array([-1], "datetime64[us]"), [-1]),
        (
            Field("x", "time"),
            np.array(["2018-07-25"], "datetime64[D]"),
            [1532476800000],
        ),
        (Field("x", "time"), np.array([EVENT_TIME_MS]), [EVENT_TIME_MS]),
        (
            Field("x", "time"),
            ["2018-07-25T00:00:31Z", EVENT_TIME_MS],
            [EVENT_TIME_MS] * 2,
        ),
        (Field("x", "date"), ["1970-01-02", "1969-12-31"], [1, -1]),
        (Field("x", "date"), np.array(["1985-03-07"], "datetime64[D]"), [5544]),
        (Field("x", "date"), np.array(["1985-03-07"], "datetime64[ns]"), [5544]),
        (
            Field("x", "date", required=False),
            np.array(["NaT", "1985-03-07"], "datetime64[ms]"),
            [MISSING, 5544],
        ),
    ],
)
def test_every_type_in_the_table_is_read(
    field: Field, values: Any, wanted: list[Any]
) -> None:
    assert held(field, values) == wanted


@pytest.mark.parametrize(
    ("field", "values", "nothing"),
    [
        (Field("x", "text", required=False), ["a", None], None),
        (Field("x", "text", required=False), np.array(["a", None], object), None),
        (Field("x", "integer", required=False), [7, None], MISSING),
        (Field("x", "integer", required=False), np.array([7.0, NAN]), MISSING),
        (Field("x", "integer", required=False), np.array([7, NAN], object), MISSING),
        (Field("x", "boolean", required=False), [True, None], MISSING),
        (Field("x", "decimal", required=False), np.array([7.0, NAN]), MISSING),
        (Field("x", "decimal", required=False), [7.0, NAN], MISSING),
        (Field("x", "decimal", required=False), ["7", None], MISSING),
        (Field("x", "decimal", required=False), [7, Decimal("NaN")], MISSING),
        (
            Field("x", "time", required=False),
            np.array([EVENT_TIME_MS, "NaT"], "datetime64[ms]"),
            MISSING,
        ),
        (Field("x", "time", required=False), ["2018-07-25T00:00:31Z", None], MISSING),
    ],
)
def test_nothing_is_missing_where_it_may_and_null_where_it_may_not(
    field: Field, values: Any, nothing: object
) -> None:
    assert held(field, values)[1] == nothing

    required = Field(field.name, field.type)
    assert rejected(one_field(required, values)) == [(1, Reason.NULL_FIELD, "x")]


@pytest.mark.parametrize(
    ("field", "values", "reason"),
    [
        (Field("x", "text"), [True, "a"], Reason.WRONG_TYPE),
        (Field("x", "text", max_length=3), ["long", "a"], Reason.TEXT_TOO_LONG),
        (Field("x", "text", max_length=3), np.array([1000, 1]), Reason.TEXT_TOO_LONG),
        (Field("x", "integer"), np.array([7.5, 1.0]), Reason.WRONG_TYPE),
        (Field("x", "integer"), np.array([1e300, 1.0]), Reason.OUT_OF_RANGE),
        (Field("x", "integer"), np.array([float("inf"), 1.0]), Reason.OUT_OF_RANGE),
        (Field("x", "integer"), np.array([2**63, 1], np.uint64), Reason.OUT_OF_RANGE),
        (Field("x", "integer"), [2**63, 1], Reason.OUT_OF_RANGE),
        (Field("x", "integer"), [10**13, 1], Reason.OUT_OF_RANGE),
        (Field("x", "integer"), ["7", 1], Reason.WRONG_TYPE),
        (Field("x", "integer"), [True, 1], Reason.WRONG_TYPE),
        (Field("x", "boolean"), np.array([2, 1]), Reason.WRONG_TYPE),
        (Field("x", "boolean"), [1, True], Reason.WRONG_TYPE),
        (Field("x", "decimal"), np.array([0.5, 1.0]), Reason.TOO_MANY_DECIMALS),
        (Field("x", "decimal"), np.array([float("inf"), 1.0]), Reason.OUT_OF_RANGE),
        (Field("x", "decimal"), [10**400, 1.0], Reason.OUT_OF_RANGE),
        (Field("x", "decimal"), ["x", 1.0], Reason.WRONG_TYPE),
        (Field("x", "decimal"), [Decimal("Infinity"), 1.0], Reason.WRONG_TYPE),
        (Field("x", "decimal", maximum=9), [10, 1], Reason.OUT_OF_RANGE),
        (Field("x", "decimal", encoding="minor"), ["7", 1], Reason.WRONG_TYPE),
        (
            Field("x", "time"),
            ["2018-07-25T00:00:31", EVENT_TIME_MS],
            Reason.TIME_WITHOUT_OFFSET,
        ),
        (Field("x", "time"), np.array([1532476831, EVENT_TIME_MS]), Reason.TIME_UNIT),
        (Field("x", "time"), [EVENT_TIME_MS / 1, EVENT_TIME_MS], Reason.WRONG_TYPE),
        (Field("x", "date"), ["1985-02-29", "1985-03-07"], Reason.BAD_TIME),
        (Field("x", "date"), [5544, "1985-03-07"], Reason.WRONG_TYPE),
        (
            Field("x", "date"),
            np.array(["1985-03-07T01", "1985-03-07"], "datetime64[s]"),
            Reason.WRONG_TYPE,
        ),
    ],
)
def test_a_row_that_is_no_event_has_its_reason(
    field: Field, values: Any, reason: Reason
) -> None:
    assert rejected(one_field(field, values)) == [(0, reason, "x")]


def test_amounts_in_narrow_floats_keep_their_decimals_or_are_refused() -> None:
    field = Field("x", "decimal", decimals=1)

    decoded = one_field(field, np.array([57.16, 57.1], np.float32))

    assert rejected(decoded) == [(0, Reason.TOO_MANY_DECIMALS, "x")]
    assert list(decoded.events.columns["x"]) == [571]


def test_an_event_time_that_is_not_plausible_is_out_of_range() -> None:
    times = np.array(["1999-12-31", "2018-07-25", "NaT"], "datetime64[ms]")

    decoded = columns_to_events(schema(), columns(event_time=times))

    assert rejected(decoded) == [
        (0, Reason.OUT_OF_RANGE, "event_time"),
        (2, Reason.NULL_FIELD, "event_time"),
    ]


def test_identities_must_not_be_empty() -> None:
    decoded = columns_to_events(schema(), columns(customer_id=["", "a", None]))

    assert rejected(decoded) == [
        (0, Reason.TEXT_EMPTY, "customer_id"),
        (2, Reason.NULL_FIELD, "customer_id"),
    ]


def test_a_type_is_named_before_a_value() -> None:
    table = columns(
        event_time=np.array(["1999-12-31"] * 3, "datetime64[ms]"),
        amount=[True, -1.0, 0.001],
    )

    assert rejected(columns_to_events(schema(), table)) == [
        (0, Reason.WRONG_TYPE, "amount"),
        (1, Reason.OUT_OF_RANGE, "event_time"),
        (2, Reason.OUT_OF_RANGE, "event_time"),
    ]


def test_an_absent_optional_column_has_no_values() -> None:
    of = schema(Field("items", "integer", required=False))

    decoded = columns_to_events(of, columns())

    assert list(decoded.events.columns["items"]) == [MISSING] * 3


def test_columns_that_cannot_be_read_are_named_all_at_once() -> None:
    table = columns(
        amount=np.array([1, 2], "datetime64[ms]"),
        event_time=np.array([1.5, 2.5, 3.5]),
        customer_id=np.array([b"a", b"b", b"c"]),
    )
    del table["terminal_id"]

    with pytest.raises(InvalidConfig) as caught:
        columns_to_events(schema(), table)

    assert list(caught.value.problems) == [
        "column 'event_time' is float64, which cannot be read as time",
        "column 'customer_id' is |S1, which cannot be read as text",
        "column 'terminal_id' is absent",
        "column 'amount' has 2 rows, others have 3",
    ]


def test_a_table_without_rows_has_no_events() -> None:
    empty = {name: column[:0] for name, column in columns().items()}

    assert len(columns_to_events(schema(), empty).events) == 0


def test_arrays_of_a_file_are_left_as_they_were() -> None:
    table = columns(amount=np.array([1, 2, 10**13]))
    before = {name: list(column) for name, column in table.items()}

    columns_to_events(schema(), table)

    assert {name: list(column) for name, column in table.items()} == before


def test_integer_identities_are_text_whatever_holds_them() -> None:
    integer = {"type": "integer"}
    of: EventSchema = schema(transaction_id=integer, customer_id=integer)

    decoded = columns_to_events(of, columns(transaction_id=[10**15, 1, 2]))

    assert decoded.events.transaction_ids == [str(10**15), "1", "2"]
    assert decoded.events.columns["customer_id"] == ["596", "4961", "2"]
