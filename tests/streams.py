"""Logs of payments with all that may go wrong in them, and their right answers."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence

from worker.pipeline import (
    PartitionState,
    Pipeline,
    TopicNames,
    Topology,
    build_stages,
)
from worker.records import Output, RecordBatch, TopicPartition
from worker.scoring import LoadedModel

FIRST_MS = 1_532_476_800_000  # 2018-07-25T00:00:00Z
HOUR_MS = 3_600_000

PLACE = TopicPartition("transactions", 0)

#: Largest record of the dead letters' topic.
MAX_MESSAGE_BYTES = 1_000_000


def payments(
    count: int, *, customers: int = 20, seed: int = 1, step_ms: int = HOUR_MS
) -> RecordBatch:
    """Records of one partition: one in ten is broken, late, or a repeat."""
    chance = random.Random(seed)
    records = RecordBatch()
    for i in range(count):
        time_ms = FIRST_MS + i * step_ms
        key, value = _payment(chance, i, time_ms, customers)
        append(records, key, value, offset=i, timestamp_ms=time_ms)
    return records


def append(
    records: RecordBatch,
    key: bytes | None,
    value: bytes | None,
    *,
    offset: int,
    timestamp_ms: int,
    place: TopicPartition = PLACE,
) -> None:
    """Add a record to a batch."""
    records.topics.append(place.topic)
    records.partitions.append(place.partition)
    records.offsets.append(offset)
    records.timestamps_ms.append(timestamp_ms)
    records.keys.append(key)
    records.values.append(value)


def at(records: RecordBatch, place: TopicPartition) -> RecordBatch:
    """The same records as they would lie in another partition."""
    count = len(records)
    return RecordBatch(
        [place.topic] * count,
        [place.partition] * count,
        records.offsets,
        records.timestamps_ms,
        records.keys,
        records.values,
    )


def right_answers(
    model: LoadedModel,
    records: RecordBatch,
    *,
    scores_topic: str = "scores",
    dead_letters_topic: str = "dead-letters",
    incomplete_until_ms: int | None = None,
    live_from: int = 0,
    control_group_share: float = 0.0,
) -> list[Output]:
    """What the worker's own pipeline publishes for the records of one partition."""
    place = TopicPartition(records.topics[0], records.partitions[0])
    names = TopicNames(place.topic, "labels", scores_topic, dead_letters_topic)
    stages = build_stages(
        model,
        Topology.of(model.spec, "group", names),
        threshold=model.threshold,
        app_version="0",
        max_message_bytes=MAX_MESSAGE_BYTES,
        control_group_share=control_group_share,
    )
    partition = PartitionState(
        place,
        epoch=1,
        state=model.stages[0].new_state(max_keys=100_000, max_events=1_000_000),
        live_from=live_from,
        incomplete_until_ms=incomplete_until_ms,
    )
    return Pipeline(stages).run(records, {place: partition}).outputs


def _payment(
    chance: random.Random, i: int, time_ms: int, customers: int
) -> tuple[bytes | None, bytes | None]:
    customer = str(chance.randrange(customers))
    fields = {
        "transaction_id": str(i),
        "event_time": time_ms,
        "customer_id": customer,
        "terminal_id": str(chance.randrange(50)),
        "amount": chance.randrange(100, 30_000) / 100,
    }
    kind = chance.randrange(60)
    if kind < len(_BROKEN):
        return customer.encode(), _BROKEN[kind]
    if kind == 57:
        fields["event_time"] = time_ms - 3 * 24 * HOUR_MS
    elif kind == 58:
        fields["transaction_id"] = str(max(i - customers, 0))
    elif kind == 59:
        return b"somebody else", json.dumps(fields).encode()
    return customer.encode(), json.dumps(fields).encode()


_BROKEN: Sequence[bytes | None] = (b"{", b"", None, b"[1]", b"\xff")
