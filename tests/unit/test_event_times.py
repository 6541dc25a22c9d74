"""Times are read ahead of all else: also of records that are not fit to be decoded."""

from __future__ import annotations

import time

import pytest

from demo.broken import KINDS, payment
from worker.codec.event_times import TimeReader
from worker.records import MISSING

GOOD = (
    b'{"transaction_id":"8412","event_time":"2018-07-25T00:00:31Z",'
    b'"customer_id":"596","terminal_id":"3156","amount":57.16}'
)

GOOD_MS, NOW_MS = 1_532_476_831_000, int(time.time() * 1000)

AHEAD_MS = 300_000

READER = TimeReader("event_time", max_ahead_ms=AHEAD_MS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_record_keeps_no_other_from_its_time(kind: str) -> None:
    broken = KINDS[kind](payment(GOOD)).value

    times = READER.read([GOOD, broken, GOOD], [NOW_MS] * 3)

    assert (times[0], times[2], len(times)) == (GOOD_MS, GOOD_MS, 3)
    assert times[1] in {GOOD_MS, MISSING, GOOD_MS // 1000}


def test_a_time_that_cannot_be_true_is_none() -> None:
    """Or all behind a record of the future would wait for the future."""
    stamps = [GOOD_MS - AHEAD_MS, GOOD_MS - AHEAD_MS - 1, -1]

    times = READER.read([GOOD] * 3, stamps)

    assert times.tolist() == [GOOD_MS, MISSING, GOOD_MS]
