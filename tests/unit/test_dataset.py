"""Histories are read from every format alike, and what is wrong with them is told."""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from tests.training_builders import (
    SPEC,
    START_MS,
    payments,
    small_spec,
    write_records,
)
from training.dataset import Dataset, read_dataset
from training.json_lines import LINES_AT_ONCE
from training.labels import LabelReport, label_history, read_labels
from training.split import DAY_MS, LabelledHistory
from worker.codec import Decoder
from worker.errors import InvalidConfig
from worker.features import Spec
from worker.records import MISSING, EventBatch, Reason

FORMATS = ["parquet", "csv", "csv.gz", "jsonl", "jsonl.gz"]
HOUR_MS = 3_600_000

Records = list[dict[str, Any]]


def read(path: Path, records: Records, **names: str) -> Dataset:
    return read_dataset(write_records(path, records), small_spec(), names=names)


def as_lists(events: EventBatch) -> dict[str, list[Any]]:
    columns = {
        name: column.tolist() if isinstance(column, np.ndarray) else list(column)
        for name, column in events.columns.items()
    }
    return {
        "id": events.transaction_ids,
        "time": events.event_time_ms.tolist(),
        **columns,
    }


def labelled(
    tmp_path: Path, records: Records, labels: Records, name: str = "labels.parquet"
) -> tuple[LabelledHistory, LabelReport]:
    """Read records and labels and join them."""
    schema = small_spec().schema
    events = read(tmp_path / "data.parquet", records).events
    found = read_labels(write_records(tmp_path / name, labels), schema, names={})
    return label_history(events, found, schema, label_delay_ms=7 * DAY_MS)


# Formats


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_gives_the_events_that_the_stream_would(
    tmp_path: Path, suffix: str
) -> None:
    lines = write_records(tmp_path / "records.jsonl", payments()).read_bytes()
    values = lines.splitlines()
    decoder = Decoder(small_spec().schema, key_is_entity=None)
    streamed = decoder.decode([None] * 4, values, [-1] * 4).events

    found = read(tmp_path / f"data.{suffix}", payments())

    assert as_lists(found.events) == as_lists(streamed)
    assert found.report.accepted == found.report.rows == 4
    assert not found.report.rejections


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_missing_optional_value_is_missing_in_every_format(
    tmp_path: Path, suffix: str
) -> None:
    records = payments()
    records[1]["items"] = None
    records[2]["online"] = None
    if "jsonl" in suffix:
        del records[1]["items"], records[2]["online"]

    found = read(tmp_path / f"data.{suffix}", records).events

    assert as_lists(found)["items"] == [0, MISSING, 2, 3]
    assert as_lists(found)["online"] == [1, 0, MISSING, 0]


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_file_may_call_fields_as_it_likes(tmp_path: Path, suffix: str) -> None:
    renamed = [
        {
            {"event_time": "TX_DATETIME", "amount": "TX_AMOUNT"}.get(name, name): value
            for name, value in record.items()
        }
        for record in payments()
    ]

    found = read(
        tmp_path / f"data.{suffix}",
        renamed,
        event_time="TX_DATETIME",
        amount="TX_AMOUNT",
    )

    expected = read(tmp_path / "expected.parquet", payments())
    assert as_lists(found.events) == as_lists(expected.events)


def test_integer_ids_become_their_decimal_text(tmp_path: Path) -> None:
    records = [
        {**record, "transaction_id": 7 + i, "customer_id": 596}
        for i, record in enumerate(payments())
    ]

    found = read(tmp_path / "data.parquet", records)

    assert found.events.transaction_ids == ["7", "8", "9", "10"]
    assert found.events.columns["customer_id"] == ["596"] * 4


def test_ids_in_a_csv_keep_their_zeros(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text(
        "transaction_id,event_time,customer_id,amount\n"
        "0001,2018-04-01T00:00:00Z,00596,1.50\n"
    )

    events = read_dataset(path, small_spec()).events

    assert events.transaction_ids == ["0001"]
    assert events.columns["customer_id"] == ["00596"]


def test_categories_of_a_data_frame_are_texts(tmp_path: Path) -> None:
    table = pa.Table.from_pylist(payments())
    index = table.schema.get_field_index("customer_id")
    encoded = table.column(index).dictionary_encode()
    path = tmp_path / "data.parquet"
    pyarrow.parquet.write_table(table.set_column(index, "customer_id", encoded), path)

    events = read_dataset(path, small_spec()).events

    assert events.columns["customer_id"] == ["1", "2", "1", "2"]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
def test_times_of_any_unit_and_zone_are_the_same_instants(
    tmp_path: Path, unit: str, zone: str | None
) -> None:
    table = pa.Table.from_pylist(payments())
    instants = pa.array([START_MS + i * HOUR_MS for i in range(4)]).cast(
        pa.timestamp("ms")
    )
    column = instants.cast(pa.timestamp(unit))
    if zone:
        column = column.cast(pa.timestamp(unit, tz=zone))
    path = tmp_path / "data.parquet"
    index = table.schema.get_field_index("event_time")
    pyarrow.parquet.write_table(table.set_column(index, "event_time", column), path)

    found = read_dataset(path, small_spec())

    assert found.events.event_time_ms.tolist() == [
        START_MS + i * HOUR_MS for i in range(4)
    ]
    assert any("without offset" in notice for notice in found.report.notices) == (
        zone is None
    )


@pytest.mark.parametrize("between", ["T", " "])
def test_times_without_offset_in_a_csv_are_read_as_utc_with_a_notice(
    tmp_path: Path, between: str
) -> None:
    records = payments()
    for record in records:
        record["event_time"] = record["event_time"].replace("T", between).rstrip("Z")

    found = read(tmp_path / "data.csv", records)

    assert found.events.event_time_ms[1] == START_MS + HOUR_MS
    assert found.report.notices == ["event_time: times without offset are read as UTC"]


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_dates_are_read_from_every_format(tmp_path: Path, suffix: str) -> None:
    """A date column, the text of one, and a midnight are the same day."""
    born: list[Any] = ["1985-03-07", None, "2000-02-29", "1969-12-31"]
    if suffix == "parquet":
        born = [None if day is None else dt.date.fromisoformat(day) for day in born]
    spec = Spec.from_toml(
        SPEC.replace(
            "[[feature]]",
            '[[field]]\nname = "born"\ntype = "date"\nrequired = false\n[[feature]]',
            1,
        )
    )
    records = [r | {"born": day} for r, day in zip(payments(), born, strict=True)]
    path = write_records(tmp_path / f"data.{suffix}", records)

    data = read_dataset(path, spec)

    assert list(data.events.columns["born"]) == [5544, MISSING, 11_016, -1]
    assert data.report.columns[-1].values == "1969-12-31 .. 2000-02-29"
    assert not data.report.notices


def test_integer_milliseconds_are_times(tmp_path: Path) -> None:
    records = [
        {**record, "event_time": START_MS + i} for i, record in enumerate(payments())
    ]

    for suffix in ("parquet", "csv", "jsonl"):
        found = read(tmp_path / f"data.{suffix}", records)
        assert found.events.event_time_ms.tolist() == [START_MS + i for i in range(4)]


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_floating_point_noise_of_decimals_is_undone_with_a_notice(
    tmp_path: Path, suffix: str
) -> None:
    records = payments()
    records[0]["amount"] = 1.1 * 3
    records[1]["amount"] = 0.1 + 0.2
    assert [records[0]["amount"], records[1]["amount"]] != [3.3, 0.3]

    found = read(tmp_path / f"data.{suffix}", records)

    assert as_lists(found.events)["amount"] == [330, 30, 1225, 1325]
    assert [n for n in found.report.notices if "2 values differ from 2 decimals" in n]


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_more_decimals_than_declared_are_no_noise(tmp_path: Path, suffix: str) -> None:
    records = payments()
    records[3]["amount"] = 12.345
    records[2]["amount"] = 12.3500000001

    found = read(tmp_path / f"data.{suffix}", records)

    assert [r.reason for r in found.report.rejections] == [
        Reason.TOO_MANY_DECIMALS,
        Reason.TOO_MANY_DECIMALS,
    ]


# Rows that are no events


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_bad_row_is_left_out_and_reported_alone(tmp_path: Path, suffix: str) -> None:
    records = payments()
    records[0]["amount"] = -1.0
    records[2]["customer_id"] = "x" * 65

    found = read(tmp_path / f"data.{suffix}", records)

    assert found.events.transaction_ids == ["101", "103"]
    assert [tuple(r) for r in found.report.rejections] == [
        (0, Reason.OUT_OF_RANGE, "amount"),
        (2, Reason.TEXT_TOO_LONG, "customer_id"),
    ]
    lines = list(found.report.lines())
    assert lines[0].endswith("4 rows, 2 accepted")
    assert "  left out: 1 x out_of_range in amount, first in row 1" in lines


def test_a_text_where_a_number_belongs_costs_one_row_of_a_csv(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text(
        "transaction_id,event_time,customer_id,amount,items,online\n"
        "1,2018-04-01T00:00:00Z,a,1.50,many,true\n"
        "2,2018-04-01T00:00:00Z,a,none,1,true\n"
        "3,2018-04-01T00:00:00Z,a,1.50,1,perhaps\n"
        "4,yesterday,a,1.50,1,true\n"
        "5,2018-04-01T00:00:00Z,,1.50,1,true\n"
        "6,2018-04-01T00:00:00Z,a,1.50,1,TRUE\n"
    )

    found = read_dataset(path, small_spec())

    assert found.events.transaction_ids == ["6"]
    assert [(r.row, r.field) for r in found.report.rejections] == [
        (0, "items"),
        (1, "amount"),
        (2, "online"),
        (3, "event_time"),
        (4, "customer_id"),
    ]


def test_rows_with_another_number_of_columns_are_left_out_with_a_notice(
    tmp_path: Path,
) -> None:
    path = tmp_path / "data.csv"
    path.write_text(
        "transaction_id,event_time,customer_id,amount\n"
        "1,2018-04-01T00:00:00Z,a\n"
        "2,2018-04-01T00:00:00Z,a,1.50\n"
    )

    found = read_dataset(path, small_spec())

    assert found.events.transaction_ids == ["2"]
    assert found.report.notices == ["1 rows have another number of columns: left out"]


def test_lines_that_are_not_json_are_left_out(tmp_path: Path) -> None:
    path = write_records(tmp_path / "data.jsonl", payments())
    path.write_bytes(b"not json\n\n[1]\n" + path.read_bytes())

    found = read_dataset(path, small_spec())

    assert found.report.rows == 6
    assert [r.reason for r in found.report.rejections] == [
        Reason.NOT_JSON,
        Reason.NOT_AN_OBJECT,
    ]


def test_rows_are_numbered_through_a_file_of_many_lines(tmp_path: Path) -> None:
    """More lines than are decoded at once; the bad ones lie on both sides."""
    count = LINES_AT_ONCE + 10
    good = write_records(tmp_path / "one.jsonl", payments(1)).read_bytes()
    lines = [good] * count
    lines[5] = lines[LINES_AT_ONCE + 5] = b"{}\n"
    path = tmp_path / "data.jsonl"
    path.write_bytes(b"".join(lines))

    found = read_dataset(path, small_spec())

    assert [r.row for r in found.report.rejections] == [5, LINES_AT_ONCE + 5]
    assert len(found.events) == count - 2
    assert found.events.columns["customer_id"] == ["1"] * (count - 2)


def test_a_rejected_field_is_named_as_the_spec_names_it(tmp_path: Path) -> None:
    records = [{**record, "EUR": record["amount"]} for record in payments()]
    for record in records:
        del record["amount"]
    records[1]["EUR"] = -5

    found = read(tmp_path / "data.jsonl", records, amount="EUR")

    assert [r.field for r in found.report.rejections] == ["amount"]


# Order


def test_a_file_out_of_order_is_sorted_with_a_notice(tmp_path: Path) -> None:
    records = payments()
    shuffled = [records[2], records[0], records[3], records[1]]

    found = read(tmp_path / "data.parquet", shuffled)

    assert found.events.transaction_ids == ["100", "101", "102", "103"]
    assert as_lists(found.events)["items"] == [0, 1, 2, 3]
    assert found.report.backward == 2
    assert "  rows out of time order: 2" in found.report.lines()
    assert any("ties stay" in notice for notice in found.report.notices)


def test_ties_stay_in_the_order_of_the_file(tmp_path: Path) -> None:
    records = payments(6)
    for record in records[1:]:
        record["event_time"] = "2018-04-01T00:00:00Z"
    records[0]["event_time"] = "2018-04-01T00:00:01Z"

    found = read(tmp_path / "data.parquet", records)

    assert found.events.transaction_ids == ["101", "102", "103", "104", "105", "100"]


def test_repeated_ids_are_counted(tmp_path: Path) -> None:
    found = read(tmp_path / "data.parquet", payments() + payments(2))

    assert found.report.repeated_ids == 2
    assert len(found.events) == 6


# What the report says


def test_the_report_gives_types_ranges_and_what_is_missing(tmp_path: Path) -> None:
    records = payments()
    records[3]["items"] = None

    report = read(tmp_path / "data.parquet", records).report

    facts = {c.name: (c.file_type, c.type, c.values, c.missing) for c in report.columns}
    assert facts == {
        "transaction_id": ("string", "text", "4 distinct", 0),
        "event_time": (
            "string",
            "time",
            "2018-04-01 00:00:00 .. 2018-04-01 03:00:00",
            0,
        ),
        "customer_id": ("string", "text", "2 distinct", 0),
        "amount": ("double", "decimal(2)", "10.25 .. 13.25", 0),
        "items": ("int64", "integer", "0 .. 2", 1),
        "online": ("bool", "boolean", "0 .. 1", 0),
    }


def test_an_absent_optional_column_is_reported_as_absent(tmp_path: Path) -> None:
    records = [{k: v for k, v in r.items() if k != "items"} for r in payments()]

    report = read(tmp_path / "data.parquet", records).report

    items = next(column for column in report.columns if column.name == "items")
    assert (items.file_type, items.values, items.missing) == ("absent", "none", 4)


# Files that cannot be used


def test_every_missing_column_is_named_with_the_remedy(tmp_path: Path) -> None:
    records = [{"id": "1", "event_time": "2018-04-01T00:00:00Z", "amount": 1.5}]

    with pytest.raises(InvalidConfig) as raised:
        read(tmp_path / "data.parquet", records)

    assert len(raised.value.problems) == 2
    assert "no column 'transaction_id'" in raised.value.problems[0]
    assert "it has: id, event_time, amount" in raised.value.problems[0]
    assert "--column customer_id=NAME" in raised.value.problems[1]


def test_a_column_of_a_type_that_is_none_of_the_fields_is_refused(
    tmp_path: Path,
) -> None:
    records = [{**record, "customer_id": 1.5} for record in payments()]

    with pytest.raises(InvalidConfig, match="customer_id"):
        read(tmp_path / "data.parquet", records)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("data.xlsx", "must end in one of"),
        ("data.parquet.gz", "must end in one of"),
        ("missing.parquet", "there is no such file"),
    ],
)
def test_a_file_of_no_known_kind_is_refused(
    tmp_path: Path, name: str, message: str
) -> None:
    if not name.startswith("missing"):
        (tmp_path / name).write_bytes(b"")

    with pytest.raises(InvalidConfig, match=message):
        read_dataset(tmp_path / name, small_spec())


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl", "jsonl.gz"])
def test_a_file_with_nothing_usable_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"data.{suffix}"
    path.write_bytes(b"")

    with pytest.raises(InvalidConfig):
        read_dataset(path, small_spec())


def test_a_file_without_one_accepted_row_says_why(tmp_path: Path) -> None:
    records = [{**record, "amount": -1.0} for record in payments()]

    with pytest.raises(InvalidConfig) as raised:
        read(tmp_path / "data.parquet", records)

    assert "left out: 4 x out_of_range in amount, first in row 1" in str(raised.value)


# Labels


LABELS: Records = [
    {"transaction_id": "100", "fraud": True, "label_time": "2018-04-10T00:00:00Z"},
    {"transaction_id": "102", "fraud": False, "label_time": "2018-04-02T00:00:00Z"},
]


@pytest.mark.parametrize("suffix", FORMATS)
def test_labels_are_read_from_every_format(tmp_path: Path, suffix: str) -> None:
    history, report = labelled(tmp_path, payments(), LABELS, f"labels.{suffix}")

    assert history.fraud.tolist() == [True, False, False, False]
    assert history.known_ms[0] == START_MS + 9 * DAY_MS
    assert (report.labels, report.labelled, report.frauds) == (2, 2, 1)
    assert "  transactions with a label: 2 (50.00%)" in report.lines()


def test_a_label_counts_when_the_delay_is_over_even_if_it_came_earlier(
    tmp_path: Path,
) -> None:
    labels = [{**LABELS[0], "label_time": "2018-04-02T00:00:00Z"}]

    history, _ = labelled(tmp_path, payments(), labels)

    assert history.known_ms[0] == START_MS + 7 * DAY_MS


def test_label_times_without_offset_are_read_as_utc_with_a_notice(
    tmp_path: Path,
) -> None:
    labels = [{**LABELS[0], "label_time": "2018-04-10 00:00:00"}]

    history, report = labelled(tmp_path, payments(), labels, "labels.csv")

    assert history.known_ms[0] == START_MS + 9 * DAY_MS
    assert (
        "  notice: label_time: times without offset are read as UTC" in report.lines()
    )


@pytest.mark.parametrize(
    "values",
    [[True, False], [1, 0], [1.0, 0.0], ["true", "false"], ["1", "0"]],
    ids=str,
)
def test_fraud_is_a_truth_value_or_a_number(tmp_path: Path, values: list[Any]) -> None:
    labels = [
        {"transaction_id": str(100 + i), "fraud": value}
        for i, value in enumerate(values)
    ]

    for suffix in ("parquet", "csv"):
        history, report = labelled(tmp_path, payments(), labels, f"labels.{suffix}")
        assert history.fraud.tolist() == [True, False, False, False]
        assert any("labels have no time" in line for line in report.lines())


def test_labels_may_stand_in_the_file_of_transactions(tmp_path: Path) -> None:
    records = [{**r, "fraud": int(i == 1)} for i, r in enumerate(payments())]

    history, report = labelled(tmp_path, records, records)

    assert history.fraud.tolist() == [False, True, False, False]
    assert report.labelled == 4


def test_one_mapping_of_names_serves_both_files(tmp_path: Path) -> None:
    schema = small_spec().schema
    names = {"transaction_id": "TX", "fraud": "IS_FRAUD"}
    labels = [{"transaction_id": "100", "IS_FRAUD": 1}]

    for suffix in ("parquet", "jsonl"):
        path = write_records(tmp_path / f"labels.{suffix}", labels)
        found = read_labels(path, schema, names=names)
        assert (found.transaction_ids, found.fraud.tolist()) == (["100"], [True])


def test_a_label_of_no_truth_value_is_left_out_and_reported(tmp_path: Path) -> None:
    labels: Records = [
        {"transaction_id": "100", "fraud": 2},
        {"transaction_id": "101", "fraud": 1},
        {"transaction_id": "102", "fraud": None},
    ]

    history, report = labelled(tmp_path, payments(), labels)

    assert history.fraud.tolist() == [False, True, False, False]
    assert {(r.row, r.reason) for r in report.rejections} == {
        (0, Reason.WRONG_TYPE),
        (2, Reason.NULL_FIELD),
    }


def test_lines_that_are_no_labels_are_left_out_and_reported(tmp_path: Path) -> None:
    path = write_records(tmp_path / "labels.jsonl", LABELS)
    path.write_bytes(b"not json\n[1]\n" + path.read_bytes())

    found = read_labels(path, small_spec().schema, names={})

    assert found.transaction_ids == ["100", "102"]
    assert [r.row for r in found.rejections] == [0, 1]


def test_the_last_label_of_a_transaction_holds(tmp_path: Path) -> None:
    labels = [
        {"transaction_id": "100", "fraud": True},
        {"transaction_id": "101", "fraud": True},
        {"transaction_id": "100", "fraud": False},
    ]

    history, report = labelled(tmp_path, payments(), labels)

    assert history.fraud.tolist() == [False, True, False, False]
    assert report.repeated == 1


def test_a_repeated_transaction_is_as_fraudulent_as_the_first(tmp_path: Path) -> None:
    records = [*payments(), payments()[0]]

    history, _ = labelled(tmp_path, records, [LABELS[0]])

    assert history.fraud.tolist() == [True, True, False, False, False]


def test_labels_of_unknown_transactions_are_counted(tmp_path: Path) -> None:
    labels: Records = [*LABELS, {**LABELS[0], "transaction_id": "999"}]

    _, report = labelled(tmp_path, payments(), labels)

    assert report.unknown == 1
    assert any("1 labels of transactions that are not" in s for s in report.lines())


def test_labels_older_than_their_transaction_are_counted(tmp_path: Path) -> None:
    labels = [{**LABELS[0], "label_time": "2018-03-01T00:00:00Z"}]

    _, report = labelled(tmp_path, payments(), labels)

    assert any("1 labels are older than" in line for line in report.lines())


def test_customers_are_numbered_by_their_key(tmp_path: Path) -> None:
    history, _ = labelled(tmp_path, payments(), LABELS)

    assert history.customer.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([{"transaction_id": "100", "fraud": False}], "nothing to learn"),
        (
            [{"transaction_id": str(100 + i), "fraud": True} for i in range(4)],
            "nothing to tell",
        ),
        ([{"transaction_id": "1", "fraud": True}], "compare the ids"),
        ([{"transaction_id": "1", "fraud": "perhaps"}], "holds no label"),
        ([{"transaction_id": "1", "verdict": True}], "no column 'fraud'"),
    ],
)
def test_labels_that_teach_nothing_are_refused(
    tmp_path: Path, labels: Records, message: str
) -> None:
    with pytest.raises(InvalidConfig, match=message):
        labelled(tmp_path, payments(), labels)


def test_a_spec_with_integer_ids_reads_labels_with_the_same_ids(tmp_path: Path) -> None:
    schema = small_spec().schema
    fields = tuple(
        dataclasses.replace(f, type="integer") if f.name == "transaction_id" else f
        for f in schema.fields
    )
    labels = write_records(
        tmp_path / "labels.parquet", [{"transaction_id": 100, "fraud": True}]
    )

    found = read_labels(labels, dataclasses.replace(schema, fields=fields), names={})

    assert found.transaction_ids == ["100"]
