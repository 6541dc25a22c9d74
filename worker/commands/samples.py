"""The youngest records of the input: how keys are placed, what is in them, how fast.

Pure but for the reading. Says how many, never which: a key or a payload stays here.
"""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from worker.codec import Decoder
from worker.commands.findings import Finding, fail, ok, warn
from worker.config import Settings
from worker.errors import ExitCode
from worker.kafka.reader import LogReader, Span
from worker.records import LogBounds, RecordBatch, TopicPartition


@dataclass(frozen=True, slots=True)
class Rate:
    """How much comes in: records a second, and bytes of key and value a record."""

    records_per_second: float
    bytes_per_record: float

    def cost(self, retention_ms: int) -> str:
        """Return what keeping records for so long takes, in words."""
        size = self.records_per_second * self.bytes_per_record * retention_ms / 1000
        return (
            f"at {self.records_per_second:,.3g} records a second of "
            f"{self.bytes_per_record:.0f} bytes, that takes {_in_units(size)} a copy, "
            "before compression"
        )


def read_samples(
    reader: LogReader, bounds: Mapping[TopicPartition, LogBounds], count: int
) -> dict[TopicPartition, RecordBatch]:
    """Return about that many of the youngest records, evenly from all partitions."""
    share = max(count // max(len(bounds), 1), 1)
    samples = {}
    for place, log in bounds.items():
        span = Span(place, max(log.start, log.end - share), log.end)
        samples[place] = _joined([batch.records for batch in reader.read(span)])
    return {place: batch for place, batch in samples.items() if len(batch)}


def rate_of(samples: Mapping[TopicPartition, RecordBatch]) -> Rate | None:
    """Return the rate at which the samples came; None where they cannot tell."""
    per_second = 0.0
    sizes = []
    for batch in samples.values():
        seconds = (max(batch.timestamps_ms) - min(batch.timestamps_ms)) / 1000
        if len(batch) < 2 or seconds <= 0:
            return None
        per_second += (len(batch) - 1) / seconds
        pairs = zip(batch.keys, batch.values, strict=True)
        sizes += [len(key or b"") + len(value or b"") for key, value in pairs]
    return Rate(per_second, sum(sizes) / len(sizes)) if sizes else None


def check_keys(
    topic: str, samples: Mapping[TopicPartition, RecordBatch], partition_count: int
) -> Iterator[Finding]:
    """Say whether equal keys meet on one partition, as their windows need it."""
    partitions = defaultdict(set)
    for place, batch in samples.items():
        for key in batch.keys:
            if key:
                partitions[key].add(place.partition)
    split = sum(len(places) > 1 for places in partitions.values())
    if split:
        yield fail(
            topic,
            f"{split} of {len(partitions)} keys in the sample are on more than one "
            "partition, so their windows see a part of their payments. Producers place "
            "keys by different rules, or partitions were added: let all producers use "
            "partitioner=murmur2_random, and start on a new topic",
            ExitCode.STATE,
        )
    elif partitions and partition_count > 1:
        yield _placement(topic, partitions, partition_count)


def _placement(
    topic: str, partitions: Mapping[bytes, set[int]], partition_count: int
) -> Finding:
    """Name the rule by which keys are placed, or the two rules that are mixed."""
    fits = {
        rule: {
            key
            for key, at in partitions.items()
            if at == {place(key) % partition_count}
        }
        for rule, place in _RULES.items()
    }
    count = f"{len(partitions)} keys in the sample"
    for rule, keys in fits.items():
        if len(keys) == len(partitions):
            return ok(topic, f"{count}, each on one partition, placed by {rule}")
    if set().union(*fits.values()) == partitions.keys():
        return fail(
            topic,
            f"{count}: some are placed by {' and others by '.join(fits)}. The same key "
            "will come to two partitions, and its windows see a part of its payments: "
            "let all producers use one rule, and start on a new topic",
            ExitCode.STATE,
        )
    return ok(topic, f"{count}, each on one partition, placed by a rule of their own")


def check_values(
    topic: str,
    samples: Mapping[TopicPartition, RecordBatch],
    decoder: Decoder,
    settings: Settings,
    *,
    what: str = "payments",
) -> Iterator[Finding]:
    """Say how many of the records are what the spec declares."""
    reasons, total = Counter[str](), 0
    for batch in samples.values():
        total += len(batch)
        decoded = decoder.decode(batch.keys, batch.values, batch.timestamps_ms)
        for rejection in decoded.rejections:
            name = f" of {rejection.field}" if rejection.field else ""
            reasons[f"{rejection.reason}{name}"] += 1
    rejected = reasons.total()
    if not rejected:
        if total:
            yield ok(topic, f"all of {total} records in the sample are {what}")
        return
    listed = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common(8))
    text = f"{rejected} of {total} records would be dead letters ({listed})"
    if rejected / total > settings.dead_letter_ratio:
        yield fail(
            topic,
            f"{text}, more than FRAUD_DEAD_LETTER_RATIO={settings.dead_letter_ratio:g} "
            "allows: the bundle's spec does not describe this topic",
            ExitCode.DEAD_LETTER_LIMIT,
        )
    else:
        yield warn(topic, text)


def murmur2(key: bytes) -> int:
    """Return the hash by which Java's clients place a key.

    >>> murmur2(b"596") % 4
    0
    """
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = (0x9747B28C ^ len(key)) & mask
    whole = len(key) & ~3
    for at in range(0, whole, 4):
        k = int.from_bytes(key[at : at + 4], "little") * m & mask
        h = (h * m & mask) ^ ((k ^ k >> 24) * m & mask)
    if rest := key[whole:]:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return (h ^ h >> 15) & 0x7FFFFFFF


_RULES: Mapping[str, Callable[[bytes], int]] = {
    "murmur2 (Java's clients)": murmur2,
    "CRC32 (librdkafka's default)": zlib.crc32,
}


def _joined(batches: list[RecordBatch]) -> RecordBatch:
    whole = RecordBatch()
    for batch in batches:
        whole.topics += batch.topics
        whole.partitions += batch.partitions
        whole.offsets += batch.offsets
        whole.timestamps_ms += batch.timestamps_ms
        whole.keys += batch.keys
        whole.values += batch.values
    return whole


def _in_units(size: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
