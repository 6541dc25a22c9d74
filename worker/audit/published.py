"""Published records as answers: which record each of them answers.

Pure; the records come from the caller.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from worker.audit.pairing import Answers
from worker.audit.report import AuditReport, Example, Finding
from worker.codec import parse_dead_letter, parse_origin
from worker.records import Header, RecordBatch, TopicPartition

#: Stands for a record that answers nothing which is audited here.
NO_ORIGIN = -1

#: What follows the offset in an origin: a slash and a digest.
_DIGEST_BYTES = 17

Place = tuple[TopicPartition, int]


def read_answers(
    records: RecordBatch,
    headers: list[list[Header]],
    *,
    consumed: TopicPartition,
    is_score: bool,
    report: AuditReport,
) -> Answers:
    """Return what was published on one partition as answers to `consumed`.

    An answer to another topic is none of this audit's business. One to another
    partition of the same topic, or to nothing, is reported as unexpected.
    """
    place = TopicPartition(records.topics[0], records.partitions[0])
    origin_of = score_origin if is_score else dead_letter_origin
    prefix = f"{consumed.topic}/{consumed.partition}/".encode()
    origins = [_quick_offset(of_record, prefix) for of_record in headers]
    for row in [row for row, offset in enumerate(origins) if offset == NO_ORIGIN]:
        origin = origin_of(headers[row])
        if origin is not None and origin[0] == consumed:
            origins[row] = origin[1]
        elif origin is None or origin[0].topic == consumed.topic:
            what = "says no origin" if origin is None else "answers another partition"
            offset = records.offsets[row]
            example = Example(Finding.UNEXPECTED, place, offset, None, None, what)
            report.add(Finding.UNEXPECTED, 1, [example])
    return Answers(
        place,
        is_score,
        np.array(records.offsets, np.int64),
        np.array(origins, np.int64),
        records.keys,
        records.values,
        headers,
    )


def _quick_offset(headers: Sequence[Header], prefix: bytes) -> int:
    """Read what nearly every score says, faster; `NO_ORIGIN` for anything else."""
    if len(headers) != 1 or headers[0][0] != "origin":
        return NO_ORIGIN
    value = headers[0][1] or b""
    digits = value[len(prefix) : -_DIGEST_BYTES]
    is_ours = value.startswith(prefix) and digits.isdigit() and len(digits) < 19
    return int(digits) if is_ours else NO_ORIGIN


def score_origin(headers: Sequence[Header]) -> Place | None:
    """Return the record that a score says it answers; None where it says none."""
    for name, value in headers:
        if name == "origin":
            try:
                topic, partition, offset, _ = parse_origin(value or b"")
            except ValueError:
                return None
            return TopicPartition(topic, partition), offset
    return None


def dead_letter_origin(headers: Sequence[Header]) -> Place | None:
    """Return the record that a dead letter was; None where it does not say."""
    try:
        letter = parse_dead_letter(headers)
    except ValueError:
        return None
    return letter.origin, letter.offset
