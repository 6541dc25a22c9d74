"""Headers say where an answer comes from, and are read back strictly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from worker.codec import (
    DEAD_LETTER_HEADERS,
    DeadLetter,
    Origin,
    dead_letter_headers,
    origin_header,
    origin_headers,
    parse_dead_letter,
    parse_origin,
)
from worker.records import Reason, TopicPartition

LETTER = DeadLetter(
    reason=Reason.TOO_MANY_DECIMALS,
    field="amount",
    stage="customer",
    origin=TopicPartition("transactions", 3),
    offset=8412,
    timestamp_ms=1_532_476_831_000,
    app_version="0.1.0",
    model_version="2018-07-31.1",
    payload_size=161,
)


def test_an_origin_is_topic_partition_offset_and_digest() -> None:
    name, value = origin_header("transactions", 3, 8412, 0x9F86D081884C7D65)

    assert (name, value) == ("origin", b"transactions/3/8412/9f86d081884c7d65")
    assert parse_origin(value) == Origin("transactions", 3, 8412, 0x9F86D081884C7D65)


def test_many_origins_are_written_as_one() -> None:
    topic = "a.b-c_1"
    partitions = [0, 1, 9, 10, 2**31 - 1, 7, 99]
    offsets = [0, 9, 10, 99, 100, 10**9, 2**63 - 1]
    digests = [0, 1, 15, 16, 0xA0000000000000F9, 2**63, 2**64 - 1]

    headers = origin_headers(
        topic,
        np.array(partitions, np.int64),
        np.array(offsets, np.int64),
        np.array(digests, np.uint64),
    )

    assert headers == [
        origin_header(topic, *origin)
        for origin in zip(partitions, offsets, digests, strict=True)
    ]
    assert [parse_origin(value).digest for _, value in headers] == digests


def test_no_origins_are_no_headers() -> None:
    nothing = np.array([], np.int64)

    digests = nothing.astype(np.uint64)

    assert origin_headers("t", nothing, nothing, digests) == []


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"transactions/3/8412",
        b"transactions/3/8412/9f86d081884c7d65/",
        b"transactions/3/8412/9f86d081884c7d65\n",
        b"transactions/3/8412/9F86D081884C7D65",
        b"transactions/3/8412/9f86d081884c7d6",
        b"transactions/03/8412/9f86d081884c7d65",
        b"transactions/3/-1/9f86d081884c7d65",
        b"transactions/+3/8412/9f86d081884c7d65",
        b"transactions/2147483648/8412/9f86d081884c7d65",
        b"transactions/3/9223372036854775808/9f86d081884c7d65",
        b"trans actions/3/8412/9f86d081884c7d65",
        b"/3/8412/9f86d081884c7d65",
        b"transactions/3/\xd9\xa3/9f86d081884c7d65",
        b"\xff/3/8412/9f86d081884c7d65",
    ],
)
def test_anything_else_is_no_origin(value: bytes) -> None:
    with pytest.raises(ValueError, match=r"origin|UTF-8") as caught:
        parse_origin(value)

    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_dead_letter_says_why_and_where() -> None:
    assert dead_letter_headers(LETTER) == [
        ("dlq.reason", b"too_many_decimals"),
        ("dlq.field", b"amount"),
        ("dlq.stage", b"customer"),
        ("dlq.origin.topic", b"transactions"),
        ("dlq.origin.partition", b"3"),
        ("dlq.origin.offset", b"8412"),
        ("dlq.origin.timestamp", b"1532476831000"),
        ("dlq.app.version", b"0.1.0"),
        ("dlq.model.version", b"2018-07-31.1"),
        ("dlq.payload.size", b"161"),
        ("dlq.payload.truncated", b"false"),
    ]


def test_every_header_of_a_dead_letter_is_documented() -> None:
    assert [name for name, _ in dead_letter_headers(LETTER)] == list(
        DEAD_LETTER_HEADERS
    )


@pytest.mark.parametrize(
    "letter",
    [
        LETTER,
        replace(LETTER, field=None, reason=Reason.NOT_JSON),
        replace(LETTER, timestamp_ms=-1, payload_size=0, reason=Reason.TOMBSTONE),
        replace(LETTER, payload_truncated=True, field="ключ"),
    ],
)
def test_a_dead_letter_is_read_back(letter: DeadLetter) -> None:
    headers = [("other", None), *dead_letter_headers(letter), ("another", b"x")]

    assert parse_dead_letter(headers) == letter


@pytest.mark.parametrize("name", [n for n in DEAD_LETTER_HEADERS if n != "dlq.field"])
def test_a_dead_letter_without_a_header_is_none(name: str) -> None:
    headers = [(n, value) for n, value in dead_letter_headers(LETTER) if n != name]

    with pytest.raises(ValueError, match=name):
        parse_dead_letter(headers)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dlq.reason", b"because"),
        ("dlq.origin.partition", b"three"),
        ("dlq.origin.offset", b"1e3"),
        ("dlq.origin.timestamp", b""),
        ("dlq.payload.size", b" 1"),
        ("dlq.payload.truncated", b"True"),
        ("dlq.stage", b"\xff"),
    ],
)
def test_a_header_that_was_not_written_by_us_is_refused(
    name: str, value: bytes
) -> None:
    headers = [(n, value if n == name else v) for n, v in dead_letter_headers(LETTER)]

    with pytest.raises(ValueError, match=r"dlq|Reason|UTF-8"):
        parse_dead_letter(headers)
