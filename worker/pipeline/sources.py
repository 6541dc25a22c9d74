"""What the records of a topic say: JSON from outside, or what a stage has forwarded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from worker.codec import Decoder
from worker.codec.forwarding import (
    ForwardingCodec,
    NotForwarded,
    Origins,
    record_keys,
)
from worker.errors import StateUnusable
from worker.records import (
    Decoded,
    EventBatch,
    LabelBatch,
    RecordBatch,
    Rejection,
    TopicPartition,
)


class Earlier(NamedTuple):
    """What the stages before have found out about n events.

    `flags` (n,) uint8 bits, `given` (n, k) float64 their columns.
    """

    origins: Origins
    flags: NDArray[np.uint8]
    given: NDArray[np.float64]


class Incoming(NamedTuple):
    """The records of a batch, taken apart.

    Attributes
    ----------
    rows, label_rows
        The rows of the n events and of the m labels in the batch, increasing.
    earlier
        None where the events come from outside.
    labels
        None where the topic has none.
    """

    events: EventBatch
    rows: NDArray[np.intp]
    rejections: list[Rejection]
    earlier: Earlier | None = None
    labels: LabelBatch | None = None
    label_rows: NDArray[np.intp] | None = None


class Source(Protocol):
    """Takes the records of one topic apart."""

    def read(self, records: RecordBatch) -> Incoming:
        """Return what they say, and which of them say nothing of use."""


@dataclass(frozen=True, slots=True)
class Outside:
    """JSON of other people's making: what is wrong with it is rejected.

    Attributes
    ----------
    rekey
        The field that is the key from now on, whatever the records' keys are.
    """

    decoder: Decoder
    rekey: str | None = None

    def read(self, records: RecordBatch) -> Incoming:
        """Return the events, and the records that are none."""
        decoded = self.decoder.decode(
            records.keys, records.values, records.timestamps_ms
        )
        earlier = None
        if self.rekey is not None:
            earlier = _rekeyed(records, decoded, self.rekey)
        rejections = list(decoded.rejections)
        return Incoming(decoded.events, decoded.rows, rejections, earlier)


def _rekeyed(records: RecordBatch, decoded: Decoded, key: str) -> Earlier:
    """Return where the events come from, by the key that they are to have."""
    index = decoded.rows.tolist()
    return Earlier(
        Origins(
            np.array([records.partitions[row] for row in index], np.int64),
            np.array([records.offsets[row] for row in index], np.int64),
            record_keys(decoded.events.columns[key]),
        ),
        np.zeros(len(index), np.uint8),
        np.empty((len(index), 0)),
    )


@dataclass(frozen=True, slots=True)
class Inside:
    """Records of a stage before: anything else is none of ours, and fatal."""

    codec: ForwardingCodec

    def read(self, records: RecordBatch) -> Incoming:
        """Return events and labels.

        Raises
        ------
        StateUnusable
            Somebody else has written into the topic.
        """
        try:
            found = self.codec.decode(records)
        except NotForwarded as error:
            row = error.row
            place = TopicPartition(records.topics[row], records.partitions[row])
            raise StateUnusable(
                f"{place.topic}/{place.partition} offset {records.offsets[row]} was "
                "not written by a stage of this spec. Nothing else may write into this "
                "topic; delete it, and start a new FRAUD_GROUP."
            ) from None
        return Incoming(
            found.events,
            found.rows,
            [],
            Earlier(found.origins, found.flags, found.given),
            found.labels,
            found.label_rows,
        )
