"""Headers of the records that the worker writes: where they come from, and why.

Written and read here, side by side. Nothing in them quotes a payload.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from worker.records import Header, Reason, TopicPartition

#: The one header of a score.
ORIGIN = "origin"

#: The headers of a dead letter, and what each says, all as text.
DEAD_LETTER_HEADERS = {
    "dlq.reason": "Why the record is no event: one of a closed list.",
    "dlq.field": "Name of the field that is wrong; absent where it is not one field.",
    "dlq.stage": "Stage that rejected the record.",
    "dlq.origin.topic": "Topic of the record.",
    "dlq.origin.partition": "Partition of the record.",
    "dlq.origin.offset": "Offset of the record.",
    "dlq.origin.timestamp": "Timestamp of the record in ms; -1 where it had none.",
    "dlq.app.version": "Version of the worker.",
    "dlq.model.version": "Version of the model in use.",
    "dlq.payload.size": "Bytes of the record's value; 0 for a tombstone.",
    "dlq.payload.truncated": "true where the value did not fit and is left out.",
}

_LARGEST_PARTITION = 2**31 - 1
_LARGEST_OFFSET = 2**63 - 1

#: Bytes of a partition and an offset with their slashes, a digest and a line feed.
_LONGEST_TAIL = 10 + 1 + 19 + 1 + 16 + 1

_NUMBER = r"(?:0|[1-9][0-9]{0,18})"
_ORIGIN_PATTERN = re.compile(
    rf"([A-Za-z0-9._-]{{1,249}})/({_NUMBER})/({_NUMBER})/([0-9a-f]{{16}})"
)
_NUMBER_PATTERN = re.compile(rf"-?{_NUMBER}")


class Origin(NamedTuple):
    """The record that a score answers, and the digest of its features."""

    topic: str
    partition: int
    offset: int
    digest: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Why and where a record was rejected.

    Attributes
    ----------
    payload_size
        Bytes of the record's value, 0 for a tombstone.
    payload_truncated
        Whether the dead letter goes without the value, because it does not fit.
    """

    reason: Reason
    field: str | None
    stage: str
    origin: TopicPartition
    offset: int
    timestamp_ms: int
    app_version: str
    model_version: str
    payload_size: int
    payload_truncated: bool = False


def origin_header(topic: str, partition: int, offset: int, digest: int) -> Header:
    """Return the header of a score.

    >>> origin_header("transactions", 3, 8412, 0x9F86D081884C7D65)
    ('origin', b'transactions/3/8412/9f86d081884c7d65')
    """
    return ORIGIN, f"{topic}/{partition}/{offset}/{digest:016x}".encode()


def origin_headers(
    topic: str,
    partitions: NDArray[np.int64],
    offsets: NDArray[np.int64],
    digests: NDArray[np.uint64],
) -> list[Header]:
    """Return the headers of n scores: `origin_header`, faster."""
    if not len(offsets):
        return []
    prefix = np.frombuffer(f"{topic}/".encode(), np.uint8)
    buffer = np.empty(len(offsets) * (len(prefix) + _LONGEST_TAIL), np.uint8)
    size = _write_origins(prefix, partitions, offsets, digests, buffer)
    values = buffer[: size - 1].tobytes().split(b"\n")
    return list(zip(repeat(ORIGIN), values, strict=False))


def parse_origin(value: bytes) -> Origin:
    """Read what `origin_header` wrote.

    Raises
    ------
    ValueError
        For anything else.
    """
    found = _ORIGIN_PATTERN.fullmatch(_text(value))
    if found is None:
        raise ValueError("the origin is not topic/partition/offset/digest")
    origin = Origin(found[1], int(found[2]), int(found[3]), int(found[4], base=16))
    if origin.partition > _LARGEST_PARTITION or origin.offset > _LARGEST_OFFSET:
        raise ValueError("the origin's partition or offset is beyond what a log has")
    return origin


def dead_letter_headers(letter: DeadLetter) -> list[Header]:
    """Return the headers of a dead letter, in the order of `DEAD_LETTER_HEADERS`."""
    contents = (
        letter.reason.value,
        letter.field,
        letter.stage,
        letter.origin.topic,
        str(letter.origin.partition),
        str(letter.offset),
        str(letter.timestamp_ms),
        letter.app_version,
        letter.model_version,
        str(letter.payload_size),
        "true" if letter.payload_truncated else "false",
    )
    return [
        (name, content.encode())
        for name, content in zip(DEAD_LETTER_HEADERS, contents, strict=True)
        if content is not None
    ]


def parse_dead_letter(headers: Sequence[tuple[str, bytes | None]]) -> DeadLetter:
    """Read what `dead_letter_headers` wrote; other headers are ignored.

    Raises
    ------
    ValueError
        Naming the first header that is absent, or is not as it was written.
    """
    found = {name: _text(value) for name, value in headers if value is not None}
    missing = [
        name for name in DEAD_LETTER_HEADERS if name not in found | {"dlq.field": ""}
    ]
    if missing:
        raise ValueError(f"no header {missing[0]}")
    truncated = found["dlq.payload.truncated"]
    if truncated not in {"true", "false"}:
        raise ValueError("dlq.payload.truncated is neither true nor false")
    return DeadLetter(
        reason=Reason(found["dlq.reason"]),
        field=found.get("dlq.field"),
        stage=found["dlq.stage"],
        origin=TopicPartition(
            found["dlq.origin.topic"], _number(found, "dlq.origin.partition")
        ),
        offset=_number(found, "dlq.origin.offset"),
        timestamp_ms=_number(found, "dlq.origin.timestamp"),
        app_version=found["dlq.app.version"],
        model_version=found["dlq.model.version"],
        payload_size=_number(found, "dlq.payload.size"),
        payload_truncated=truncated == "true",
    )


def _number(found: dict[str, str], name: str) -> int:
    if not _NUMBER_PATTERN.fullmatch(found[name]):
        raise ValueError(f"{name} is not a number")
    return int(found[name])


@njit(cache=True)
def _write_origins(
    prefix: NDArray[np.uint8],
    partitions: NDArray[np.int64],
    offsets: NDArray[np.int64],
    digests: NDArray[np.uint64],
    buffer: NDArray[np.uint8],
) -> int:
    """Write an origin and a line feed for each row; return the bytes written."""
    at = 0
    for row in range(len(offsets)):
        for byte in prefix:
            buffer[at] = byte
            at += 1
        at = _write_number(buffer, at, partitions[row])
        at = _write_number(buffer, at, offsets[row])
        for place in range(16):
            digit = (digests[row] >> np.uint64(60 - 4 * place)) & np.uint64(15)
            buffer[at + place] = digit + (48 if digit < 10 else 87)
        buffer[at + 16] = 10
        at += 17
    return at


@njit(cache=True)
def _write_number(buffer: NDArray[np.uint8], at: int, number: int) -> int:
    """Write a number and a slash; return the place behind them."""
    width, rest = 1, number // 10
    while rest:
        width, rest = width + 1, rest // 10
    for place in range(at + width - 1, at - 1, -1):
        buffer[place] = 48 + number % 10
        number //= 10
    buffer[at + width] = 47
    return at + width + 1


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise ValueError("a header is not UTF-8") from None
