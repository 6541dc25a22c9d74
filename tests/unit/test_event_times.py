"""Times are read ahead of all else: also of records that are not fit to be decoded."""

from __future__ import annotations

import pytest

from demo.broken import KINDS, payment
from worker.codec.event_times import TimeReader

GOOD = (
    b'{"transaction_id":"8412","event_time":"2018-07-25T00:00:31Z",'
    b'"customer_id":"596","terminal_id":"3156","amount":57.16}'
)

GOOD_MS = 1_532_476_831_000


@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_record_keeps_no_other_from_its_time(kind: str) -> None:
    broken = KINDS[kind](payment(GOOD)).value

    times = TimeReader("event_time").read([GOOD, broken, GOOD])

    assert (times[0], times[2], len(times)) == (GOOD_MS, GOOD_MS, 3)
