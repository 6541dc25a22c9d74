"""A history of transactions with its labels: read, checked, sorted, reported on.

Owns what makes a history usable for training. Formats are read by `training.files`,
values are checked by the worker's own codec, so training accepts what a stream would.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from training.data_report import DataReport, describe_columns, rejection_lines
from training.files import kind_of, read_columns
from training.json_lines import decode_lines
from worker.codec import columns_to_events
from worker.errors import InvalidConfig
from worker.features import Spec
from worker.records import Decoded, EventBatch, EventSchema, Field, Rejection

#: The file calls every field by its name.
NO_NAMES: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Dataset:
    """The accepted transactions of a file, in order of event time.

    Ties stay in the order of the file: it is the log.
    """

    events: EventBatch
    report: DataReport


def read_dataset(
    path: Path, spec: Spec, *, names: Mapping[str, str] = NO_NAMES
) -> Dataset:
    """Read the transactions of a Parquet, CSV or JSON lines file.

    Parameters
    ----------
    names
        Field to column, where the file calls a field differently.

    Raises
    ------
    InvalidConfig
        With every problem, where the file cannot be used at all. A row that is no
        event is left out and reported.
    """
    schema = spec.schema
    decoded, types, notices = _read(path, schema, names)
    events, rejections = decoded.events, decoded.rejections
    if len(events) == 0:
        raise InvalidConfig(_why_empty(path, rejections), subject="data")
    backward = _backward(events.event_time_ms)
    if backward:
        events = events.take(np.argsort(events.event_time_ms, kind="stable"))
        notices.append(
            f"sorted by {schema.event_time}; ties stay in the order of the file"
        )
    report = DataReport(
        path=path,
        rows=len(events) + len(rejections),
        accepted=len(events),
        rejections=rejections,
        columns=describe_columns(schema, events, types),
        repeated_ids=len(events) - len(set(events.transaction_ids)),
        backward=backward,
        notices=notices,
    )
    return Dataset(events, report)


def _read(
    path: Path, schema: EventSchema, names: Mapping[str, str]
) -> tuple[Decoded, Mapping[str, str], list[str]]:
    """Events in the order of the file, what the file calls their types, notices."""
    if kind_of(path) == "jsonl":
        types = dict.fromkeys((field.name for field in schema.fields), "JSON")
        return decode_lines(path, schema, names), types, []
    table = read_columns(path, _required(schema), names)
    return columns_to_events(schema, table.columns), table.types, table.notices


def _required(schema: EventSchema) -> list[Field]:
    """Return the fields; without those that identify it there is no event."""
    identity = {schema.transaction_id, schema.event_time, *schema.keys}
    return [
        dataclasses.replace(field, required=field.required or field.name in identity)
        for field in schema.fields
    ]


def _backward(event_time_ms: NDArray[np.int64]) -> int:
    """Count the rows that are earlier than the row before them."""
    return int((np.diff(event_time_ms) < 0).sum())


def _why_empty(path: Path, rejections: Sequence[Rejection]) -> list[str]:
    if not rejections:
        return [f"{path} holds no transaction"]
    lines = [line.strip() for line in rejection_lines(rejections)]
    return [f"{path} holds no transaction that the spec accepts", *lines]
