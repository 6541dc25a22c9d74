"""What flows through the worker: records in, events, outputs; and their vocabulary.

Owns the value types that the other modules share. Knows no broker, no encoding,
no feature and no model.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Stands for "no value" in an integer column; no accepted value equals it.
MISSING = int(np.iinfo(np.int64).min)

#: Largest magnitude of an integer or of a decimal in its smallest unit: squares of
#: such values, summed over 2**24 events, stay below 2**128.
MAX_MAGNITUDE = 10**12

Header = tuple[str, bytes]
FieldType = Literal["text", "integer", "decimal", "boolean", "time", "date"]
DecimalEncoding = Literal["number", "text", "minor"]


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


class Reason(enum.StrEnum):
    """Why a record became a dead letter; closed, so it is safe as a metric label."""

    TOMBSTONE = "tombstone"
    EMPTY = "empty"
    TOO_LARGE = "too_large"
    SCHEMA_FRAMING = "schema_framing"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    TOO_DEEP = "too_deep"
    NOT_AN_OBJECT = "not_an_object"
    NO_KEY = "no_key"
    KEY_MISMATCH = "key_mismatch"
    MISSING_FIELD = "missing_field"
    NULL_FIELD = "null_field"
    WRONG_TYPE = "wrong_type"
    OUT_OF_RANGE = "out_of_range"
    TOO_MANY_DECIMALS = "too_many_decimals"
    TEXT_TOO_LONG = "text_too_long"
    TEXT_EMPTY = "text_empty"
    BAD_TIME = "bad_time"
    TIME_WITHOUT_OFFSET = "time_without_offset"
    TIME_UNIT = "time_unit"
    TIME_AHEAD = "time_ahead"


class Flag(enum.StrEnum):
    """What a consumer of a score should know about how it came about."""

    LATE = "late"
    DUPLICATE = "duplicate"
    STATE_INCOMPLETE = "state_incomplete"


class NextOffset(NamedTuple):
    """Where a partition goes on: one past the last record, and what to remember there.

    `metadata` is the text kept with the commit; worker.recovery gives it its meaning.
    """

    offset: int
    metadata: str


class LogBounds(NamedTuple):
    """What a partition still holds: the offsets [start, end).

    No record that was removed from before `start` has a timestamp above
    `removed_until_ms`: that of the first record kept, or the present where none is.
    None when nothing was ever removed.
    """

    start: int
    end: int
    removed_until_ms: int | None


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the event as the spec declares it.

    `minimum` and `maximum` are inclusive, in the field's own unit (not scaled).
    A decimal is held as an integer of 10**-decimals.
    """

    name: str
    type: FieldType
    required: bool = True
    max_length: int = 64
    decimals: int = 0
    encoding: DecimalEncoding = "number"
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True, slots=True)
class EventSchema:
    """The fields of an event, and which of them identify it.

    `keys` names the key field of each entity, in the order of the stages; the first is
    the key of the input's records, unless `rekey`.
    """

    fields: tuple[Field, ...]
    transaction_id: str
    event_time: str
    keys: tuple[str, ...]
    max_ahead_ms: int
    rekey: bool = False

    def field(self, name: str) -> Field:
        """Return the field of that name; raises KeyError."""
        for candidate in self.fields:
            if candidate.name == name:
                return candidate
        raise KeyError(name)


@dataclass(slots=True)
class RecordBatch:
    """Polled records as columns, in the order in which they were polled.

    Offsets increase within a partition. `timestamps_ms` is -1 where a record has no
    timestamp (a file); then nothing is compared with it.

    Attributes
    ----------
    ranks
        (n,) int64: what follows from lesser ranks is produced first; None: no matter.
    """

    topics: list[str] = field(default_factory=list)
    partitions: list[int] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    timestamps_ms: list[int] = field(default_factory=list)
    keys: list[bytes | None] = field(default_factory=list)
    values: list[bytes | None] = field(default_factory=list)
    ranks: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.values)

    def cut(self, rows: slice) -> RecordBatch:
        """Return those records."""
        columns = {name: getattr(self, name)[rows] for name in _COLUMNS}
        ranks = None if self.ranks is None else self.ranks[rows]
        return RecordBatch(**columns, ranks=ranks)

    def extend(self, other: RecordBatch) -> None:
        """Put records behind these; none have ranks."""
        assert self.ranks is other.ranks is None
        for name in _COLUMNS:
            getattr(self, name).extend(getattr(other, name))


_COLUMNS = ("topics", "partitions", "offsets", "timestamps_ms", "keys", "values")
Column = NDArray[np.int64] | list[str | None]


@dataclass(slots=True)
class EventBatch:
    """Valid events as columns, in log order.

    Attributes
    ----------
    transaction_ids
        n texts.
    event_time_ms
        (n,) int64, milliseconds since 1970 UTC.
    columns
        The other declared fields. Text: list of n (None where an optional one is
        missing). Integer, decimal (in units of 10**-decimals), boolean (0/1), time
        (ms) and date (days since 1970): (n,) int64 with `MISSING`.
    """

    transaction_ids: list[str]
    event_time_ms: NDArray[np.int64]
    columns: Mapping[str, Column]

    def __len__(self) -> int:
        return len(self.transaction_ids)

    def take(self, rows: NDArray[np.intp] | slice) -> EventBatch:
        """Return the events of those rows, in that order."""
        index = range(len(self))[rows] if isinstance(rows, slice) else rows.tolist()

        def pick(column: Column) -> Column:
            if isinstance(column, np.ndarray):
                return column[rows]
            return [column[i] for i in index]

        return EventBatch(
            [self.transaction_ids[i] for i in index],
            self.event_time_ms[rows],
            {name: pick(column) for name, column in self.columns.items()},
        )


@dataclass(slots=True)
class LabelBatch:
    """Labels as columns, in log order: which transaction was a fraud, and since when.

    Attributes
    ----------
    transaction_ids, event_time_ms, keys
        Of the transactions: n texts, (n,) int64, and the key of the entity whose log
        it is, as in `EventBatch.columns`.
    fraud
        (n,) bool; False takes back what an earlier label said.
    label_time_ms
        (n,) int64. An event older than that does not know of the label.
    before
        (n,) int64, increasing: how many events of the batch precede each label.
    offsets
        (n,) int64, of the records in the log; None where `offsets` of the events are.
    """

    transaction_ids: list[str]
    event_time_ms: NDArray[np.int64]
    keys: Column
    fraud: NDArray[np.bool_]
    label_time_ms: NDArray[np.int64]
    before: NDArray[np.int64]
    offsets: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.transaction_ids)

    def take(self, rows: slice, *, event_shift: int = 0) -> LabelBatch:
        """Return those labels, to go with events that begin `event_shift` later."""
        return LabelBatch(
            self.transaction_ids[rows],
            self.event_time_ms[rows],
            self.keys[rows],
            self.fraud[rows],
            self.label_time_ms[rows],
            self.before[rows] - event_shift,
            None if self.offsets is None else self.offsets[rows],
        )


class Rejection(NamedTuple):
    """A record that cannot be an event: its row in the batch, why, and where."""

    row: int
    reason: Reason
    field: str | None


class Decoded(NamedTuple):
    """The events of a batch of records, and the records that are none.

    `rows` holds, for each event, its row in the batch: strictly increasing.
    """

    events: EventBatch
    rows: NDArray[np.intp]
    rejections: Sequence[Rejection]


#: Stands for a partition that the producer chooses.
BY_KEY = -1


class Output(NamedTuple):
    """A record to be produced.

    Attributes
    ----------
    partition
        `BY_KEY`: the producer chooses it by the key's murmur2 hash, as Java does.
    timestamp_ms
        0: the moment at which it is produced.
    """

    topic: str
    value: bytes | None
    key: bytes | None
    partition: int
    headers: list[Header]
    timestamp_ms: int = 0
