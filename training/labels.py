"""Labels: which transactions were frauds, and from when that was known.

Owns the joining of labels to transactions. A transaction without a label is genuine:
nobody confirms that a payment was in order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from training.columns import RawColumn
from training.data_report import rejection_lines
from training.files import column_names, kind_of, read_columns
from training.json_lines import read_lines
from training.split import DAY_MS, Flags, Integers, LabelledHistory
from worker.codec import columns_to_events
from worker.errors import InvalidConfig
from worker.records import MISSING, EventBatch, EventSchema, Field, Rejection

Keys = Integers | Sequence[str | None]

#: Names of a label's own fields.
FRAUD, LABEL_TIME = "fraud", "label_time"

#: A label is checked by the codec like an event, which must have a time; any will do.
_NO_TIME, _ANY_MS = "no time", 946_684_800_000


@dataclass(frozen=True, slots=True)
class Labels:
    """The n labels of a file, in its order.

    Attributes
    ----------
    label_time_ms
        (n,) int64, when the label became known; `MISSING` where the file says nothing.
    rejections
        Rows that are no label.
    """

    path: Path
    transaction_ids: list[str]
    fraud: Flags
    label_time_ms: Integers
    rejections: Sequence[Rejection]
    notices: Sequence[str]


@dataclass(frozen=True, slots=True)
class LabelReport:
    """How labels and transactions fit.

    Attributes
    ----------
    labelled
        Transactions that have a label.
    unknown
        Labels of transactions that the history does not hold.
    repeated
        Labels after the first one of their transaction; the last one holds.
    delays_ms
        From transaction to label, where the label has a time.
    """

    labels: int
    transactions: int
    labelled: int
    frauds: int
    unknown: int
    repeated: int
    delays_ms: Integers
    rejections: Sequence[Rejection]
    notices: Sequence[str]

    def lines(self) -> Iterator[str]:
        """Yield the report as people read it."""
        yield f"labels: {self.labels:,}"
        yield from rejection_lines(self.rejections)
        share = self.labelled / self.transactions
        yield f"  transactions with a label: {self.labelled:,} ({share:.2%})"
        share = self.frauds / self.transactions
        yield f"  frauds: {self.frauds:,} ({share:.2%} of the transactions)"
        if len(self.delays_ms):
            days = float(np.median(self.delays_ms)) / DAY_MS
            yield f"  median delay of a label: {days:.1f} days"
        else:
            yield "  notice: labels have no time; each is known when the delay is over"
        for notice in self.notices:
            yield f"  notice: {notice}"
        if self.labelled < self.transactions:
            yield "  notice: transactions without a label count as genuine"
        for count, what in (
            (self.unknown, "labels of transactions that are not in the file"),
            (self.repeated, "labels repeat a transaction's; the last one holds"),
            (
                int((self.delays_ms < 0).sum()),
                "labels are older than their transaction",
            ),
        ):
            if count:
                yield f"  notice: {count:,} {what}"


def read_labels(path: Path, schema: EventSchema, *, names: Mapping[str, str]) -> Labels:
    """Read labels: the transaction's id, `fraud`, and `label_time` where there is one.

    Parameters
    ----------
    names
        Field to column. A column that the file does not have is looked for by the
        field's own name, so one mapping serves both files.

    Raises
    ------
    InvalidConfig
        Where a column is missing or no row is a label.
    """
    fields = [
        schema.field(schema.transaction_id),
        Field(FRAUD, "boolean"),
        Field(LABEL_TIME, "time", required=False),
    ]
    reader = _read_objects if kind_of(path) == "jsonl" else _read_table
    columns, notices = reader(path, fields, names)
    columns[FRAUD] = _booleans(columns[FRAUD])
    columns[_NO_TIME] = np.full(len(columns[FRAUD]), _ANY_MS)
    checked = EventSchema(
        (*fields, Field(_NO_TIME, "time")), schema.transaction_id, _NO_TIME, (), 0
    )
    decoded = columns_to_events(checked, columns)
    if len(decoded.events) == 0:
        lines = "; ".join(line.strip() for line in rejection_lines(decoded.rejections))
        raise InvalidConfig([f"{path} holds no label: {lines or 'it is empty'}"])
    fraud, label_time = (decoded.events.columns[name] for name in (FRAUD, LABEL_TIME))
    assert isinstance(fraud, np.ndarray)
    assert isinstance(label_time, np.ndarray)
    ids = decoded.events.transaction_ids
    return Labels(path, ids, fraud == 1, label_time, decoded.rejections, notices)


def _read_table(
    path: Path, fields: Sequence[Field], names: Mapping[str, str]
) -> tuple[dict[str, RawColumn], list[str]]:
    present = column_names(path)
    usable = {name: column for name, column in names.items() if column in present}
    table = read_columns(path, fields, usable)
    return dict(table.columns), table.notices


def _read_objects(
    path: Path, fields: Sequence[Field], names: Mapping[str, str]
) -> tuple[dict[str, RawColumn], list[str]]:
    columns: dict[str, list[Any]] = {field.name: [] for field in fields}
    for lines in read_lines(path):
        for label in map(_parse, lines):
            for name, column in columns.items():
                column.append(label.get(names.get(name, name), label.get(name)))
    return dict(columns), []


def _parse(line: bytes) -> Mapping[str, Any]:
    """Read an object; what is none has no fields, so the codec will reject it."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _booleans(values: RawColumn) -> RawColumn:
    """Turn 0 and 1 in their various types into booleans; leave what is neither."""
    if isinstance(values, np.ndarray) and values.dtype.kind != "f":
        return values
    return [
        bool(value) if isinstance(value, int | float) and value in (0, 1) else value
        for value in (values if isinstance(values, list) else values.tolist())
    ]


def label_history(
    events: EventBatch,
    labels: Labels,
    schema: EventSchema,
    *,
    label_delay_ms: int,
) -> tuple[LabelledHistory, LabelReport]:
    """Join labels to events by the transaction's id.

    A fraud is known when its label's time has come, and not before the delay is over:
    what the stream allows for, training allows for too.

    Raises
    ------
    InvalidConfig
        Where no label fits, or all transactions are of one class.
    """
    numbers, ids = _numbered(events.transaction_ids)
    label_ids = (ids.get(name, -1) for name in labels.transaction_ids)
    label_numbers = np.fromiter(label_ids, np.int64, len(labels.transaction_ids))
    fits = label_numbers >= 0
    # By id, not by row: a repeated transaction is as fraudulent as the first.
    labels_by_id = np.bincount(label_numbers[fits], minlength=len(ids))
    fraud_by_id = np.zeros(len(ids), np.bool_)
    fraud_by_id[label_numbers[fits]] = labels.fraud[fits]
    time_by_id = np.full(len(ids), MISSING)
    time_by_id[label_numbers[fits]] = labels.label_time_ms[fits]
    fraud, label_time_ms = fraud_by_id[numbers], time_by_id[numbers]
    report = LabelReport(
        labels=len(fits),
        transactions=len(events),
        labelled=int((labels_by_id[numbers] > 0).sum()),
        frauds=int(fraud.sum()),
        unknown=int((~fits).sum()),
        repeated=int((labels_by_id[labels_by_id > 1] - 1).sum()),
        delays_ms=(label_time_ms - events.event_time_ms)[label_time_ms != MISSING],
        rejections=labels.rejections,
        notices=labels.notices,
    )
    problems = list(_problems(report, labels.path))
    if problems:
        raise InvalidConfig(problems, subject="labels")
    # MISSING is the smallest integer, so a label without a time changes nothing.
    known_ms = np.maximum(events.event_time_ms + label_delay_ms, label_time_ms)
    customer, _ = _numbered(events.columns[schema.keys[0]])
    return LabelledHistory(events.event_time_ms, customer, fraud, known_ms), report


def _problems(report: LabelReport, path: Path) -> Iterator[str]:
    if report.labelled == 0:
        yield f"no label in {path} belongs to a transaction: compare the ids"
    elif report.frauds == 0:
        yield f"{path} labels no transaction as a fraud: there is nothing to learn"
    elif report.frauds == report.transactions:
        yield f"{path} labels every transaction as a fraud: there is nothing to tell"


def _numbered(keys: Keys) -> tuple[Integers, dict[Any, int]]:
    """(n,) int64 numbers, equal for equal keys, and the number of each key."""
    values = keys.tolist() if isinstance(keys, np.ndarray) else keys
    numbers: dict[Any, int] = {}
    numbered = (numbers.setdefault(value, len(numbers)) for value in values)
    return np.fromiter(numbered, np.int64, len(values)), numbers
