"""No mutation of a right stream gets past the audit; none is invented."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from tests.audited import audit, counts, right

Stream = list[tuple[int, bytes]]


@st.composite
def logs(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Offsets with gaps, as control markers leave them; some of them rejected."""
    gaps = draw(st.lists(st.integers(1, 3), min_size=2, max_size=60))
    offsets = [sum(gaps[: i + 1]) for i in range(len(gaps))]
    return offsets, draw(st.lists(st.sampled_from(offsets), unique=True))


def remove(stream: Stream, at: int, _: int) -> None:
    del stream[at]


def repeat(stream: Stream, at: int, to: int) -> None:
    stream.insert(max(at, to) + 1, stream[at])


def swap(stream: Stream, at: int, to: int) -> None:
    stream[at], stream[to] = stream[to], stream[at]


def alter(stream: Stream, at: int, _: int) -> None:
    origin, content = stream[at]
    stream[at] = (origin, content + b"!")


MUTATIONS: dict[str, Callable[[Stream, int, int], None]] = {
    "missing": remove,
    "duplicated": repeat,
    "out of order": swap,
    "different": alter,
}


@given(logs(), st.integers(1, 70))
def test_a_right_stream_is_clean_however_it_is_cut(
    log: tuple[list[int], list[int]], chunk: int
) -> None:
    offsets, rejected = log
    scores = right([o for o in offsets if o not in rejected])

    report = audit(
        offsets, scores, right(sorted(rejected)), rejected=rejected, chunk=chunk
    )

    assert counts(report) == {}
    assert report.is_clean()
    assert report.scores + report.dead_letters == report.events == report.compared


@given(logs(), st.integers(1, 70), st.sampled_from(sorted(MUTATIONS)), st.data())
def test_each_mutation_is_found_under_its_name(
    log: tuple[list[int], list[int]], chunk: int, name: str, data: st.DataObject
) -> None:
    offsets, _ = log
    stream = right(offsets)
    at = data.draw(st.integers(0, len(stream) - 1))
    to = data.draw(st.integers(0, len(stream) - 1).filter(lambda i: i != at))
    MUTATIONS[name](stream, at, to)

    report = audit(offsets, stream, chunk=chunk)

    assert set(counts(report)) == {name}
    assert not report.is_clean()


@given(logs(), st.integers(1, 70), st.data())
def test_any_other_stream_is_not_clean(
    log: tuple[list[int], list[int]], chunk: int, data: st.DataObject
) -> None:
    offsets, _ = log
    inside = st.sampled_from(range(offsets[0], offsets[-1] + 1))
    origins = data.draw(st.lists(inside, max_size=80).filter(lambda o: o != offsets))

    report = audit(offsets, right(origins), first=offsets[0], chunk=chunk)

    assert not report.is_clean()
    assert report.events == len(offsets)


@given(logs(), st.data())
def test_counts_are_exact_for_removed_and_repeated_answers(
    log: tuple[list[int], list[int]], data: st.DataObject
) -> None:
    offsets, _ = log
    copies = data.draw(
        st.lists(st.integers(0, 3), min_size=len(offsets), max_size=len(offsets))
    )
    stream = right([o for o, n in zip(offsets, copies, strict=True) for _ in range(n)])

    found = counts(audit(offsets, stream))

    assert found.get("missing", 0) == copies.count(0)
    assert found.get("duplicated", 0) == sum(n - 1 for n in copies if n > 1)
    assert found.get("out of order", 0) == 0
