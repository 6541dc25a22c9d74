"""Records of the labels topic: which transaction was a fraud, and since when.

They are decoded like transactions, by the same rules: a label repeats the fields that
identify its transaction, and adds two of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from worker.records import EventBatch, EventSchema, Field, LabelBatch

#: Whether the transaction was a fraud; a later label of the same one takes it back.
FRAUD = "fraud"

#: When that became known. Transactions before that moment do not know of it.
LABEL_TIME = "label_time"


def label_schema(schema: EventSchema, keys: Sequence[str]) -> EventSchema:
    """Return what a label consists of.

    Parameters
    ----------
    schema
        Of the transactions.
    keys
        The key fields of the entities whose windows look at labels.
    """
    names = {schema.transaction_id, schema.event_time, *keys}
    identifying = [field for field in schema.fields if field.name in names]
    return EventSchema(
        (*identifying, Field(FRAUD, "boolean"), Field(LABEL_TIME, "time")),
        schema.transaction_id,
        schema.event_time,
        tuple(keys),
        schema.max_ahead_ms,
    )


def labels_of(decoded: EventBatch, key: str, before: NDArray[np.int64]) -> LabelBatch:
    """Return decoded labels for the log of one entity.

    Parameters
    ----------
    decoded
        m records by `label_schema`.
    key
        The entity's key field.
    before
        (m,) how many events of the log precede each label; never decreasing.
    """
    fraud, label_time_ms = decoded.columns[FRAUD], decoded.columns[LABEL_TIME]
    assert isinstance(fraud, np.ndarray)
    assert isinstance(label_time_ms, np.ndarray)
    return LabelBatch(
        decoded.transaction_ids,
        decoded.event_time_ms,
        decoded.columns[key],
        fraud != 0,
        label_time_ms,
        before,
    )
