"""Stages without a broker: each record passes all of them before the next one comes.

The logs have the order in which training reads one, so both must give the same rows.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.streams import MAX_MESSAGE_BYTES
from worker.codec import Decoder
from worker.codec.labels import label_schema, labels_of
from worker.commands.samples import murmur2
from worker.features import FeatureRows, HistoryTransform, Spec
from worker.pipeline import (
    PartitionState,
    Pipeline,
    TopicNames,
    Topology,
    build_stages,
)
from worker.records import BY_KEY, EventBatch, Output, RecordBatch, TopicPartition
from worker.scoring import LoadedModel

NAMES = TopicNames("transactions", "labels", "scores", "dead-letters")

FIRST_MS = 1_700_000_000_000


class StagesInMemory:
    """A model's stages on topics in memory.

    Attributes
    ----------
    published
        Scores and dead letters, in the order in which they came.
    """

    def __init__(self, model: LoadedModel, partitions: int):
        self.topology = Topology.of(model.spec, "group", NAMES)
        self.published: list[Output] = []
        self._partitions = partitions
        self._pipeline = Pipeline(
            build_stages(
                model,
                self.topology,
                threshold=model.threshold,
                app_version="0",
                max_message_bytes=MAX_MESSAGE_BYTES,
            )
        )
        stages = dict(zip(self.topology.stages, model.stages, strict=True))
        self.states = {
            place: PartitionState(
                place,
                epoch=1,
                state=stages.get(place.topic, model.stages[0]).new_state(
                    max_keys=1000, max_events=10_000
                ),
            )
            for topic in self.topology.consumed
            for place in [TopicPartition(topic, p) for p in range(partitions)]
        }

    def feed(self, topic: str, key: bytes, value: bytes) -> tuple[int, int]:
        """Append a record, and all that follows from it; return where it stands."""
        place = TopicPartition(topic, murmur2(key) % self._partitions)
        return place.partition, self._append(place, key, value, timestamp_ms=-1)

    def _append(
        self,
        place: TopicPartition,
        key: bytes | None,
        value: bytes | None,
        timestamp_ms: int,
    ) -> int:
        offset = self.states[place].next_offset
        records = RecordBatch(
            [place.topic], [place.partition], [offset], [timestamp_ms], [key], [value]
        )
        for output in self._pipeline.run(records, self.states).outputs:
            if output.topic in self.topology.consumed:
                assert output.partition == BY_KEY
                assert output.key is not None
                partition = murmur2(output.key) % self._partitions
                following = TopicPartition(output.topic, partition)
                self._append(following, output.key, output.value, output.timestamp_ms)
            else:
                self.published.append(output)
        return offset


@dataclass(frozen=True)
class StagedHistory:
    """Payments and labels in the order of one log.

    Attributes
    ----------
    labels
        Each with how many payments come before it.
    """

    payments: list[dict[str, Any]]
    labels: list[tuple[int, dict[str, Any]]]

    def lines(self, spec: Spec) -> Sequence[tuple[str, bytes, bytes]]:
        """Return topic, key and value of each record, in order."""
        known = list(self.labels)
        lines = []
        for i, fields in enumerate([*self.payments, None]):
            while known and known[0][0] == i:
                lines.append((NAMES.labels, b"any", json.dumps(known.pop(0)[1])))
            if fields is not None:
                key = str(fields[spec.entities[0].key]).encode()
                lines.append((NAMES.transactions, key, json.dumps(fields)))
        return [(topic, key, value.encode()) for topic, key, value in lines]

    def rows(self, spec: Spec) -> FeatureRows:
        """Return what training computes of it."""
        events = _decoded(Decoder(spec.schema, key_is_entity=None), self.payments)
        keys = {
            stage: entity.key
            for stage, entity in enumerate(spec.entities)
            if spec.stage_uses_labels(stage)
        }
        schema = label_schema(spec.schema, list(keys.values()))
        labels = _decoded(
            Decoder(schema, key_is_entity=None), [fields for _, fields in self.labels]
        )
        before = np.array([before for before, _ in self.labels], np.int64)
        own = {stage: labels_of(labels, key, before) for stage, key in keys.items()}
        return HistoryTransform(spec).transform(events, own)


def _decoded(decoder: Decoder, fields: Sequence[dict[str, Any]]) -> EventBatch:
    values = [json.dumps(each).encode() for each in fields]
    nothing = [None] * len(values), [-1] * len(values)
    decoded = decoder.decode(nothing[0], values, nothing[1])
    assert not decoded.rejections
    return decoded.events


def staged_history(count: int, seed: int = 1) -> StagedHistory:
    """Payments in order of time, for some of them labels when they are known."""
    chance = random.Random(seed)
    times = [FIRST_MS + i * 700 for i in range(count)]
    payments: list[dict[str, Any]] = [
        {
            "id": str(i),
            "time": time_ms,
            "customer": f"c{chance.randrange(6)}",
            "shop": f"s{chance.randrange(4)}",
            "amount": round(chance.uniform(1, 300), 2),
        }
        for i, time_ms in enumerate(times)
    ]
    known = []
    for fields in payments:
        if chance.random() < 0.3:
            known_ms = fields["time"] + chance.choice([0, 1, 3000, 8000, 20_000])
            label = {n: fields[n] for n in ("id", "time", "customer", "shop")}
            known.append((known_ms, label | {"fraud": True, "label_time": known_ms}))
    known.sort(key=lambda pair: pair[0])
    befores = np.searchsorted(times, [known_ms for known_ms, _ in known], "left")
    labels = [label for _, label in known]
    return StagedHistory(payments, list(zip(befores.tolist(), labels, strict=True)))
