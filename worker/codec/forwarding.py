"""Records between two stages: compact, and written and read by this program alone.

An event is a block of numbers and, behind it, a MessagePack array of texts; the key of
the record is that of the entity whose stage reads it. A label is a smaller block and
the id of its transaction. All numbers are little-endian:

========  =====================================================================
event     1, flags (u8), partition (i32), offset (i64) and event time (i64) of the
          transaction, its fields that are numbers (i64), the columns (f64)
          of the stages before; id, key of the transaction, its fields that are texts
label     2, fraud (u8), partition (i32) and offset (i64) of the label, event time
          (i64) of its transaction, time of the label (i64); id
========  =====================================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import GenericAlias
from typing import Any, NamedTuple, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from worker.codec.labels import FRAUD, LABEL_TIME
from worker.records import Column, EventBatch, EventSchema, LabelBatch, RecordBatch

#: Raised by hand with every change of what is written here.
FORWARDING_FORMAT = 1

EVENT = 1
LABEL = 2

#: How both begin; the flags of a label say whether it is a fraud.
HEAD: list[Any] = [
    ("kind", "u1"),
    ("flags", "u1"),
    ("partition", "<i4"),
    ("offset", "<i8"),
    ("event_time", "<i8"),
]
_LABEL_DTYPE = np.dtype([*HEAD, ("label_time", "<i8")])

_encode_texts = msgspec.msgpack.Encoder().encode


class Origins(NamedTuple):
    """Where n events came from: partition (n,), offset (n,) and key of their record."""

    partitions: NDArray[np.int64]
    offsets: NDArray[np.int64]
    keys: list[bytes]

    def take(self, rows: NDArray[np.intp]) -> Origins:
        """Return those of some events."""
        keys = [self.keys[row] for row in rows.tolist()]
        return Origins(self.partitions[rows], self.offsets[rows], keys)


@dataclass(frozen=True, slots=True)
class Forwarded:
    """Events and labels of a batch of records, each in log order.

    Attributes
    ----------
    rows, label_rows
        (n,) and (m,) rows in the batch.
    flags
        (n,) uint8, what the stages before had to say, as they encoded it.
    given
        (n, k) float64, the columns of the stages before.
    label_origins
        Partitions and offsets (m,) of the labels' own records.
    """

    events: EventBatch
    rows: NDArray[np.intp]
    origins: Origins
    flags: NDArray[np.uint8]
    given: NDArray[np.float64]
    labels: LabelBatch
    label_rows: NDArray[np.intp]
    label_origins: tuple[NDArray[np.int64], NDArray[np.int64]]


class NotForwarded(ValueError):
    """A record that no stage wrote; `row` is its place in the batch."""

    def __init__(self, row: int):
        super().__init__(f"record {row} of the batch is none that a stage wrote")
        self.row = row


class ForwardingCodec:
    """Writes and reads what goes from one stage to the next.

    Parameters
    ----------
    fields
        Names of the event's fields that later stages need.
    key
        That of them which is the key of the records.
    column_count
        How many columns the stages before have computed.
    """

    def __init__(
        self, schema: EventSchema, fields: Sequence[str], *, key: str, column_count: int
    ):
        is_text = {
            f.name: f.type == "text" or f.name in schema.keys for f in schema.fields
        }
        self._key = key
        self._input_key = schema.keys[0]
        self._texts = [f for f in fields if is_text[f] and f != key]
        self._numbers = [f for f in fields if not is_text[f]]
        # The id, and the key of the transaction; of the others some may be missing.
        texts = GenericAlias(tuple, (str, str, *[str | None] * len(self._texts)))
        self._width = 2 + len(self._texts)
        self._decode_texts = msgspec.msgpack.Decoder(texts).decode
        parts: list[Any] = [
            *HEAD,
            ("numbers", "<i8", (len(self._numbers),)),
            ("given", "<f8", (column_count,)),
        ]
        self._dtype = np.dtype(parts)

    def encode_events(
        self,
        events: EventBatch,
        origins: Origins,
        flags: NDArray[np.uint8],
        given: NDArray[np.float64],
    ) -> tuple[list[bytes], list[bytes]]:
        """Return the keys and the values of n records."""
        blocks = np.empty(len(events), self._dtype)
        blocks["kind"] = EVENT
        blocks["flags"] = flags
        blocks["partition"] = origins.partitions
        blocks["offset"] = origins.offsets
        blocks["event_time"] = events.event_time_ms
        for i, name in enumerate(self._numbers):
            blocks["numbers"][:, i] = events.columns[name]
        blocks["given"] = given
        raw, size = blocks.tobytes(), self._dtype.itemsize
        texts = zip(
            events.transaction_ids,
            map(bytes.decode, origins.keys),
            *(cast("list[str | None]", events.columns[name]) for name in self._texts),
            strict=True,
        )
        values = [
            raw[at : at + size] + _encode_texts(row)
            for at, row in zip(range(0, len(raw), size), texts, strict=True)
        ]
        return record_keys(events.columns[self._key]), values

    def decode(self, records: RecordBatch) -> Forwarded:
        """Read n records.

        Raises
        ------
        NotForwarded
            At the first one that was not written here, for this use.
        """
        values = [value or b"" for value in records.values]
        kinds = np.frombuffer(b"".join([v[:1] or b"\0" for v in values]), np.uint8)
        is_event, is_label = kinds == EVENT, kinds == LABEL
        if not np.all(is_event | is_label):
            raise NotForwarded(int(np.argmin(is_event | is_label)))
        rows, label_rows = np.flatnonzero(is_event), np.flatnonzero(is_label)
        own = values if len(rows) == len(values) else [values[i] for i in rows.tolist()]
        # Copies, because kernels that change nothing too are compiled for such arrays.
        blocks = _blocks(own, rows, self._dtype)
        size = self._dtype.itemsize
        texts = self._read_texts([value[size:] for value in own], rows)
        ids, keys, *others = ([row[i] for row in texts] for i in range(self._width))
        columns: dict[str, Column] = dict(zip(self._texts, others, strict=True))
        columns[self._key] = _decoded_keys(records.keys, rows)
        for i, name in enumerate(self._numbers):
            columns[name] = blocks["numbers"][:, i].copy()
        return Forwarded(
            EventBatch(ids, blocks["event_time"].copy(), columns),
            rows,
            Origins(
                blocks["partition"].astype(np.int64),
                blocks["offset"].astype(np.int64),
                list(map(str.encode, keys)),
            ),
            blocks["flags"].copy(),
            blocks["given"].copy(),
            *_labels(records, values, rows, label_rows),
        )

    def _read_texts(
        self, blocks: Iterable[bytes], rows: NDArray[np.intp]
    ) -> list[tuple[Any, ...]]:
        """Return the texts of n records; `rows` (n,) are their places in the batch."""
        found: list[tuple[Any, ...]] = []
        try:
            found.extend(map(self._decode_texts, blocks))
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise NotForwarded(int(rows[len(found)])) from None
        return found


def encode_labels(labels: EventBatch, origins: Origins) -> list[bytes]:
    """Return the values of n records; the labels are decoded by `label_schema`."""
    ids = labels.transaction_ids
    blocks = np.empty(len(ids), _LABEL_DTYPE)
    blocks["kind"] = LABEL
    blocks["flags"] = labels.columns[FRAUD]
    blocks["partition"] = origins.partitions
    blocks["offset"] = origins.offsets
    blocks["event_time"] = labels.event_time_ms
    blocks["label_time"] = labels.columns[LABEL_TIME]
    raw, size = blocks.tobytes(), _LABEL_DTYPE.itemsize
    starts = range(0, len(raw), size)
    return [raw[at : at + size] + i.encode() for at, i in zip(starts, ids, strict=True)]


def record_keys(column: Column) -> list[bytes]:
    """Return a key column as the keys of records."""
    return [str(key).encode() for key in column]


def _labels(
    records: RecordBatch,
    values: list[bytes],
    rows: NDArray[np.intp],
    label_rows: NDArray[np.intp],
) -> tuple[LabelBatch, NDArray[np.intp], tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Return the labels, their rows, and partitions and offsets of their origins."""
    own = [values[row] for row in label_rows.tolist()]
    blocks, size = _blocks(own, label_rows, _LABEL_DTYPE), _LABEL_DTYPE.itemsize
    labels = LabelBatch(
        _decoded([value[size:] for value in own], label_rows),
        blocks["event_time"].copy(),
        _decoded_keys(records.keys, label_rows),
        blocks["flags"] != 0,
        blocks["label_time"].copy(),
        np.searchsorted(rows, label_rows),
        np.array([records.offsets[row] for row in label_rows.tolist()], np.int64),
    )
    origins = blocks["partition"].astype(np.int64), blocks["offset"].astype(np.int64)
    return labels, label_rows, origins


def _blocks(
    values: list[bytes], rows: NDArray[np.intp], dtype: np.dtype[Any]
) -> NDArray[Any]:
    """Return the numbers of n records; `rows` (n,) are their places in the batch."""
    size = dtype.itemsize
    joined = b"".join([value[:size] for value in values])
    if len(joined) < size * len(values):
        short = next(i for i, value in enumerate(values) if len(value) < size)
        raise NotForwarded(int(rows[short]))
    return np.frombuffer(joined, dtype)


def _decoded_keys(
    keys: Sequence[bytes | None], rows: NDArray[np.intp]
) -> list[str | None]:
    return [*_decoded([keys[row] or b"" for row in rows.tolist()], rows)]


def _decoded(texts: Iterable[bytes], rows: NDArray[np.intp]) -> list[str]:
    """Return n texts; `rows` (n,) are their places in the batch."""
    found: list[str] = []
    try:
        found.extend(map(bytes.decode, texts))
    except UnicodeDecodeError:
        raise NotForwarded(int(rows[len(found)])) from None
    return found
