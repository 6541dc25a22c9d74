"""What an audit of several stages finds between two topics, fault by fault."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from worker.audit.hops import Hop, differing_digests
from worker.audit.ledger import Ledger
from worker.audit.report import AuditReport, Finding
from worker.records import TopicPartition

CONSUMED = TopicPartition("transactions", 0)


@pytest.fixture
def hop() -> Iterator[Hop]:
    """From records 10 to 14 of partition 0, and 0 to 4 of partition 1."""
    ledger = Ledger({0: range(10, 15), 1: range(5)})
    yield Hop("transactions", "inner", ledger, AuditReport())
    ledger.close()


def publish(hop: Hop, *origins: tuple[int, int], partition: int = 3) -> None:
    """One record after the other from offset 100 on, each saying its origin."""
    hop.keep(
        columns(origins),
        TopicPartition("inner", partition),
        [100 + i for i in range(len(origins))],
        [content(*origin) for origin in origins],
    )


def content(partition: int, offset: int) -> bytes:
    return f"{partition}/{offset}".encode()


def columns(origins: tuple[tuple[int, int], ...]) -> tuple[np.ndarray, np.ndarray]:
    both = np.array(origins, np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def check(hop: Hop, *origins: tuple[int, int], stamps: int = 1000) -> int:
    expected = [content(*origin) for origin in origins]
    times = np.full(len(origins), stamps, np.int64)
    return hop.check(
        CONSUMED, columns(origins), times, differing_digests(expected, "content")
    )


def findings(hop: Hop) -> dict[str, int]:
    return {str(f): n for f, n in hop.report.counts.items() if n}


ALL = tuple((0, offset) for offset in range(10, 15))


def test_a_hop_without_fault_finds_nothing(hop: Hop) -> None:
    publish(hop, *ALL)

    assert check(hop, *ALL[:2]) + check(hop, *ALL[2:]) == 5
    hop.finish()
    assert findings(hop) == {}


def test_what_is_not_there_is_missing(hop: Hop) -> None:
    publish(hop, *ALL[:2], *ALL[3:])

    check(hop, *ALL)

    assert findings(hop) == {"missing": 1}
    (example,) = hop.report.examples
    assert str(example) == "missing transactions/0/12: nothing on inner"


def test_what_may_have_been_removed_is_not_missed(hop: Hop) -> None:
    hop.needed_after_ms = 1000

    check(hop, *ALL, stamps=1000)
    assert findings(hop) == {}
    check(hop, *ALL, stamps=1001)
    assert findings(hop) == {"missing": 5}


def test_what_comes_twice_is_duplicated_also_on_another_partition(hop: Hop) -> None:
    publish(hop, *ALL, ALL[1])
    publish(hop, ALL[2], partition=1)

    check(hop, *ALL)
    hop.finish()

    assert findings(hop) == {"duplicated": 2}


def test_what_comes_before_its_predecessor_is_out_of_order(hop: Hop) -> None:
    publish(hop, ALL[1], ALL[0], *ALL[2:])

    check(hop, *ALL[:1])
    check(hop, *ALL[1:])

    assert findings(hop) == {"out of order": 1}


def test_another_content_is_different(hop: Hop) -> None:
    hop.keep(columns(ALL[:1]), TopicPartition("inner", 0), [7], [b"other"])

    check(hop, *ALL[:1])

    assert [str(e) for e in hop.report.examples] == [
        "different transactions/0/10 (inner/0/7): content"
    ]


def test_what_follows_from_nothing_is_unexpected(hop: Hop) -> None:
    publish(hop, *ALL, (1, 4))

    check(hop, *ALL)
    hop.finish()

    assert findings(hop) == {"unexpected": 1}
    assert hop.report.examples[0].finding is Finding.UNEXPECTED


def test_what_lies_outside_of_the_audit_is_left_alone(hop: Hop) -> None:
    publish(hop, (0, 9), (0, 15), (1, 5), (2, 0), (-1, 0))

    assert check(hop, (0, 9), (0, 15), (1, 5), (2, 0)) == 0
    hop.finish()
    assert findings(hop) == {}
