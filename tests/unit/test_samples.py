"""check counts what is wrong with keys and payments, and never shows one."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Mapping

import pytest

from tests.small_models import ONE_ENTITY
from tests.streams import FIRST_MS, append, payments
from worker.codec import Decoder
from worker.commands.findings import Finding, Level
from worker.commands.samples import (
    Rate,
    check_keys,
    check_values,
    murmur2,
    rate_of,
)
from worker.config import Settings
from worker.errors import ExitCode
from worker.features import Spec
from worker.records import RecordBatch, TopicPartition

PARTITIONS = 6
KEYS = [f"customer-{i}".encode() for i in range(200)]


def placed(
    keys: Iterable[bytes], rule: Callable[[bytes], int]
) -> dict[TopicPartition, RecordBatch]:
    samples: dict[TopicPartition, RecordBatch] = {}
    for offset, key in enumerate(keys):
        place = TopicPartition("transactions", rule(key) % PARTITIONS)
        batch = samples.setdefault(place, RecordBatch())
        append(batch, key, b"{}", offset=offset, timestamp_ms=FIRST_MS, place=place)
    return samples


def keys_finding(samples: Mapping[TopicPartition, RecordBatch]) -> Finding:
    (finding,) = check_keys("transactions", samples, PARTITIONS)
    return finding


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_is_that_of_the_java_client(key: bytes, expected: int) -> None:
    """Known values of the Java client's own test; its sign bit is dropped."""
    assert murmur2(key) == expected & 0x7FFFFFFF


@pytest.mark.parametrize(
    ("rule", "name"),
    [(murmur2, "murmur2"), (zlib.crc32, "CRC32"), (len, "a rule of their own")],
)
def test_one_rule_for_all_keys_is_fine(rule: Callable[[bytes], int], name: str) -> None:
    finding = keys_finding(placed(KEYS, rule))

    assert finding.level is Level.OK
    assert name in finding.text


def test_a_key_on_two_partitions_is_a_failure() -> None:
    samples = placed(KEYS, murmur2)
    other = TopicPartition("transactions", (murmur2(KEYS[0]) + 1) % PARTITIONS)
    append(samples[other], KEYS[0], b"{}", offset=999, timestamp_ms=1, place=other)

    finding = keys_finding(samples)

    assert (finding.level, finding.code) == (Level.FAIL, ExitCode.STATE)
    assert finding.text.startswith("1 of 200 keys")


def test_two_rules_are_a_failure_before_any_key_is_on_two_partitions() -> None:
    samples = placed(KEYS, lambda k: murmur2(k) if k < KEYS[50] else zlib.crc32(k))

    finding = keys_finding(samples)

    assert (finding.level, finding.code) == (Level.FAIL, ExitCode.STATE)
    assert "murmur2 (Java's clients) and others by CRC32" in finding.text


def test_no_keys_and_no_records_say_nothing() -> None:
    samples = placed(KEYS, murmur2)
    for batch in samples.values():
        batch.keys[:] = [None] * len(batch)

    assert list(check_keys("transactions", samples, PARTITIONS)) == []
    assert list(check_keys("transactions", {}, PARTITIONS)) == []


def values_findings(batch: RecordBatch, ratio: float = 0.5) -> list[Finding]:
    samples = {TopicPartition("transactions", 0): batch} if len(batch) else {}
    settings = Settings(dead_letter_ratio=ratio)
    decoder = Decoder(Spec.from_toml(ONE_ENTITY).schema)
    return list(check_values("transactions", samples, decoder, settings))


def good(count: int) -> RecordBatch:
    batch = RecordBatch()
    for i in range(count):
        value = {
            "transaction_id": str(i),
            "event_time": FIRST_MS,
            "customer_id": "1",
            "terminal_id": "1",
            "amount": 1,
        }
        content = json.dumps(value).encode()
        append(batch, b"1", content, offset=i, timestamp_ms=FIRST_MS)
    return batch


def test_payments_as_the_spec_declares_them_are_fine() -> None:
    (finding,) = values_findings(good(10))

    assert (finding.level, finding.text) == (
        Level.OK,
        "all of 10 records in the sample are payments",
    )


def test_some_broken_records_are_a_warning_with_their_reasons() -> None:
    (finding,) = values_findings(payments(300))

    assert finding.level is Level.WARN
    assert "of 300 records would be dead letters (" in finding.text
    assert "key_mismatch of customer_id" in finding.text
    assert "somebody else" not in finding.text


def test_more_broken_records_than_the_limit_are_a_failure() -> None:
    (finding,) = values_findings(payments(300), ratio=0.01)

    assert (finding.level, finding.code) == (Level.FAIL, ExitCode.DEAD_LETTER_LIMIT)


def test_no_records_say_nothing_about_payments() -> None:
    assert values_findings(RecordBatch()) == []


def test_the_rate_is_that_of_all_partitions_together() -> None:
    batch = good(11)
    batch.timestamps_ms[:] = range(FIRST_MS, FIRST_MS + 11_000, 1000)
    samples = {TopicPartition("transactions", p): batch for p in range(3)}

    rate = rate_of(samples)

    assert rate is not None
    assert rate.records_per_second == pytest.approx(3.0)
    sizes = [len(value or b"") + 1 for value in batch.values]
    assert rate.bytes_per_record == pytest.approx(sum(sizes) / 11)


def test_records_of_one_moment_have_no_rate() -> None:
    assert rate_of({TopicPartition("transactions", 0): good(5)}) is None
    assert rate_of({}) is None


def test_the_cost_of_retention_is_told_in_units_for_people() -> None:
    day_ms = 86_400_000

    assert "take" in Rate(1000, 200).cost(10 * day_ms)
    assert "173 GB" in Rate(1000, 200).cost(10 * day_ms)
    assert "1.73 TB" in Rate(1000, 200).cost(100 * day_ms)
    assert "20 bytes" in Rate(1, 20).cost(1000)
