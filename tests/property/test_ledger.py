"""A ledger gives back what was put in, whatever the order."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from worker.audit.ledger import Ledger
from worker.records import TopicPartition

RANGES = {0: range(3, 20), 1: range(0), 2: range(8)}

ORIGINS = st.tuples(st.integers(-1, 3), st.integers(0, 22))


@given(
    st.lists(
        st.lists(st.tuples(ORIGINS, st.binary(max_size=5)), max_size=20), max_size=4
    ),
    st.lists(ORIGINS, max_size=40),
)
def test_a_ledger_is_a_dictionary_that_keeps_the_first(
    batches: list[list[tuple[tuple[int, int], bytes]]], asked: list[tuple[int, int]]
) -> None:
    ledger, expected, offset = Ledger(RANGES), {}, 0
    for partition, batch in enumerate(batches):
        offsets = list(range(offset, offset + len(batch)))
        offset += len(batch)
        repeats = []
        for row, (origin, content) in enumerate(batch):
            if origin[1] not in RANGES.get(origin[0], ()):
                continue
            if origin in expected:
                repeats.append(row)
            else:
                expected[origin] = partition, offsets[row], content
        found = ledger.add(
            columns([origin for origin, _ in batch]),
            TopicPartition("t", partition),
            offsets,
            [content for _, content in batch],
        )
        assert found.tolist() == repeats

    audited, rows, published = ledger.ask(columns(asked))

    inside = [r for r, (p, o) in enumerate(asked) if o in RANGES.get(p, ())]
    assert audited.tolist() == inside
    assert rows.tolist() == [row for row in inside if asked[row] in expected]
    assert [expected[asked[row]] for row in rows] == list(
        zip(
            published.partitions.tolist(),
            published.offsets.tolist(),
            published.contents,
            strict=True,
        )
    )
    unasked = {(p, o): (at, where) for p, o, at, where in ledger.unasked()}
    assert unasked == {
        origin: place[:2] for origin, place in expected.items() if origin not in asked
    }
    ledger.close()


def columns(origins: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    both = np.array(origins, np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]
