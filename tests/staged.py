"""Streams of a model with two entities and labels, and their fold by the tests.

Event times run ahead of the clock's, so that windows and delays of seconds pass within
a short test.
"""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from tests.live import Stream, Traffic, _headers, _place
from tests.marks import MARK
from tests.reading_back import read_back
from worker.codec import Decoder, parse_dead_letter, parse_origin
from worker.codec.forwarding import Forwarded, ForwardingCodec
from worker.codec.labels import label_schema
from worker.codec.scores import published_scores
from worker.features import FeatureTransform, row_digests
from worker.pipeline import TopicNames, Topology
from worker.records import RecordBatch
from worker.scoring import GoldenLabel, GoldenRecord, LoadedModel

#: Event time that passes with each payment.
STEP_MS = 40

_GOLDEN_MS = 1_700_000_000_000

#: What an hour of payments takes, so that none is ahead of the clock.
_BEGIN_BEFORE_MS = 3_600_000


@dataclass
class StagedStream(Stream):
    """The topics of a test whose model has two stages."""

    model: LoadedModel | None = None

    @property
    def labels(self) -> str:
        return f"{self.group}-labels"

    @property
    def topology(self) -> Topology:
        assert self.model is not None
        names = TopicNames(
            self.transactions, self.labels, self.scores, self.dead_letters
        )
        return Topology.of(self.model.spec, self.group, names)

    def create_topics(self) -> None:
        self.kafka.create_topics(dict.fromkeys(self.topology.every, self.partitions))

    def env(self, instance: str = "0", **settings: str) -> dict[str, str]:
        return super().env(instance, FRAUD_LABELS_TOPIC=self.labels, **settings)


class StagedTraffic(Traffic):
    """Writes payments, and for some of them labels: early, late, wrong, and twice."""

    def __init__(self, stream: StagedStream, seed: int = 1):
        super().__init__(stream, seed)
        self._stream = stream
        self._time_ms = int(time.time() * 1000) - _BEGIN_BEFORE_MS
        self._labels_due: list[tuple[int, bytes]] = []
        self.label_count = 0

    def _write_one(self) -> None:
        self.count += 1
        self._time_ms += STEP_MS
        chance = self._random
        fields = {
            "id": f"t-{MARK}-{self.count}",
            "time": self._time_ms - chance.choice([0, 0, 0, 1500, 9000, 30_000]),
            "customer": f"c-{MARK}-{chance.randrange(40)}",
            "shop": f"m-{MARK}-{chance.randrange(30)}",
            "amount": round(chance.uniform(1, 300), 2),
        }
        if chance.random() < 0.1:
            self._label(fields)
        value = json.dumps(fields).encode()
        if chance.random() < 0.01:
            value = value[:-1]
        assert self._stream.model is not None
        is_keyed = not self._stream.model.spec.schema.rekey
        key = str(fields["customer" if is_keyed else "id"])
        self._produce(self._stream.transactions, value, key)
        while self._labels_due and self._labels_due[0][0] <= self._time_ms:
            _, label = self._labels_due.pop(0)
            self._produce_label(label)

    def _label(self, fields: Mapping[str, object]) -> None:
        """Confirm a payment some seconds of event time later, or before it comes."""
        chance = self._random
        after_ms = chance.choice([-2000, 3000, 3000, 8000, 20_000])
        known_ms = self._time_ms + max(after_ms, 0)
        label = {name: fields[name] for name in ("id", "time", "customer", "shop")}
        label |= {"fraud": chance.random() < 0.9, "label_time": known_ms}
        if chance.random() < 0.02:
            label["id"] = f"t-{MARK}-unknown"
        value = json.dumps(label).encode()
        if chance.random() < 0.02:
            value = value[:-1]
        if after_ms < 0:
            self._produce_label(value)
        for _ in range(1 + (chance.random() < 0.05)):
            self._labels_due.append((known_ms, value))
        self._labels_due.sort()

    def _produce_label(self, value: bytes) -> None:
        self.label_count += 1
        self._produce(self._stream.labels, value, "any")

    def _produce(self, topic: str, value: bytes, key: str) -> None:
        self._producer.produce(topic, value, key)


class StagedFold:
    """What the logs of a stream say, folded anew by this test.

    Attributes
    ----------
    transactions, labels
        Accepted ones and rejected ones, as (accepted, rejected) sets of places.
    """

    def __init__(self, stream: StagedStream):
        assert stream.model is not None
        self._stream = stream
        self._model = stream.model
        self._spec = stream.model.spec
        (self._inner,) = stream.topology.inner
        self._forwarded = {
            partition: self._decode(records)
            for partition, records in _logs(stream, self._inner).items()
        }

    def forwarded(self) -> Counter[tuple[int, int]]:
        """Return how often each payment stands in the inner topic, by its place."""
        return Counter(
            place
            for found in self._forwarded.values()
            for place in zip(
                found.origins.partitions.tolist(),
                found.origins.offsets.tolist(),
                strict=True,
            )
        )

    def forwarded_labels(self) -> Counter[tuple[int, int]]:
        """Return the same of labels."""
        return Counter(
            place
            for found in self._forwarded.values()
            for place in zip(*(a.tolist() for a in found.label_origins), strict=True)
        )

    def accepted(self) -> dict[tuple[int, int], bytes]:
        """Return the columns of each accepted payment, by its place, as bytes."""
        decoder = Decoder(self._spec.schema)
        expected = {}
        for partition, log in _logs(self._stream, self._stream.transactions).items():
            decoded = decoder.decode(log.keys, log.values, log.timestamps_ms)
            X = FeatureTransform(self._spec, 0).transform(decoded.events).X
            for row, columns in zip(decoded.rows.tolist(), X, strict=True):
                expected[partition, log.offsets[row]] = columns.tobytes()
        return expected

    def handed_on(self) -> dict[tuple[int, int], bytes]:
        """Return the columns that the inner topic holds, by the payment's place."""
        return {
            place: columns.tobytes()
            for found in self._forwarded.values()
            for place, columns in zip(
                zip(
                    found.origins.partitions.tolist(),
                    found.origins.offsets.tolist(),
                    strict=True,
                ),
                found.given,
                strict=True,
            )
        }

    def accepted_labels(self) -> set[tuple[int, int]]:
        """Return the places of the labels that are some."""
        schema = label_schema(self._spec.schema, [self._spec.entities[1].key])
        decoder = Decoder(schema, key_is_entity=None)
        accepted = set()
        for partition, log in _logs(self._stream, self._stream.labels).items():
            decoded = decoder.decode(log.keys, log.values, log.timestamps_ms)
            accepted |= {(partition, log.offsets[row]) for row in decoded.rows.tolist()}
        return accepted

    def scores(
        self, *, with_labels: bool = True
    ) -> dict[tuple[int, int], tuple[int, float]]:
        """Return the digest of features and the score of each payment, by its place."""
        expected = {}
        for found in self._forwarded.values():
            rows = FeatureTransform(self._spec, 1).transform(
                found.events,
                labels=found.labels if with_labels else None,
                given=found.given,
            )
            if not len(rows.X):
                continue
            scores = published_scores(self._model.scorer.score(rows.X))
            for i, digest in enumerate(row_digests(rows.X).tolist()):
                place = int(found.origins.partitions[i]), int(found.origins.offsets[i])
                expected[place] = digest, float(scores[i])
        return expected

    def _decode(self, records: RecordBatch) -> Forwarded:
        codec = ForwardingCodec(
            self._spec.schema,
            self._spec.fields_after(0),
            key=self._spec.entities[1].key,
            column_count=len(self._spec.names_after(0)),
        )
        return codec.decode(records)


def published(stream: StagedStream) -> dict[tuple[int, int], tuple[int, float]]:
    """Return digest and score of each answer; fails where there are two to one."""
    found: dict[tuple[int, int], tuple[int, float]] = {}
    for message in read_back(stream.clients, stream.scores):
        origin = parse_origin(_headers(message)["origin"])
        place = origin.partition, origin.offset
        assert origin.partition == message.partition()
        assert place not in found, place
        found[place] = origin.digest, json.loads(message.value() or b"")["score"]
    return found


def rejected_payments(stream: StagedStream) -> list[tuple[int, int]]:
    """Return the places of the payments that are dead letters."""
    messages = read_back(stream.clients, stream.dead_letters)
    letters = (parse_dead_letter(list(_headers(m).items())) for m in messages)
    return [
        (letter.origin.partition, letter.offset)
        for letter in letters
        if letter.origin.topic == stream.transactions
    ]


def _logs(stream: StagedStream, topic: str) -> dict[int, RecordBatch]:
    """Return what a topic holds, as one batch of records for each partition."""
    logs: dict[int, RecordBatch] = defaultdict(RecordBatch)
    for message in read_back(stream.clients, topic):
        partition, offset = _place(message)
        log = logs[partition]
        log.topics.append(topic)
        log.partitions.append(partition)
        log.offsets.append(offset)
        log.timestamps_ms.append(message.timestamp()[1])
        log.keys.append(message.key())
        log.values.append(message.value())
    return logs


def golden_log() -> tuple[list[GoldenRecord], list[GoldenLabel]]:
    """Return a few payments of a few customers in one shop, and a label."""
    times = [_GOLDEN_MS + i * 1000 for i in range(30)]
    payments = [
        {"id": str(i), "time": ms, "customer": f"c{i % 3}", "shop": "s", "amount": i}
        for i, ms in enumerate(times)
    ]
    label = {k: v for k, v in payments[3].items() if k != "amount"}
    label |= {"fraud": True, "label_time": times[10]}
    records = [
        GoldenRecord(str(payment["customer"]), json.dumps(payment), ms)
        for payment, ms in zip(payments, times, strict=True)
    ]
    return records, [GoldenLabel(11, json.dumps(label), times[10])]
