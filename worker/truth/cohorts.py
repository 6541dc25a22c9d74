"""The join: payments and labels of one hour, held as numbers until they are judged.

A payment takes 14 bytes, a label 17: a million payments in eight days are 14 MB. An
identity is held as a hash of 64 bits, so that two of a hundred thousand payments in one
cohort are taken for one once in four billion cohorts.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.records import TopicPartition

#: Event time that a cohort covers, ms.
STEP_MS = 3_600_000

Place = TopicPartition


class Judged(NamedTuple):
    """A cohort with its labels: n payments, each once, and m labels that had one.

    Attributes
    ----------
    units, kinds, fraud
        (n,) scores in units, what `Cohorts` was told of the kind, and the labels.
    label_fraud, label_delays_ms
        (m,) of the labels that decided.
    repeated_scores, repeated_labels
        Records beside those: an earlier score, or a later label, of the same payment
        counts.
    unknown_labels
        Labels of no payment of this cohort.
    """

    units: NDArray[np.int64]
    kinds: NDArray[np.int64]
    fraud: NDArray[np.bool_]
    label_fraud: NDArray[np.bool_]
    label_delays_ms: NDArray[np.int64]
    repeated_scores: int
    repeated_labels: int
    unknown_labels: int


class _Cohort:
    """Payments and labels of one step, in the order in which they were read."""

    def __init__(self) -> None:
        self.ids, self.units, self.kinds = array("q"), array("i"), array("H")
        self.label_ids, self.delays = array("q"), array("q")
        self.frauds = array("b")
        self.first_offsets: dict[Place, int] = {}

    def judge(self) -> Judged:
        """Let the first score of each payment meet its last label."""
        ids, first = np.unique(_of(self.ids), return_index=True)
        backward = _of(self.label_ids)[::-1]
        label_ids, last = np.unique(backward, return_index=True)
        at = np.searchsorted(ids, label_ids)
        known = np.flatnonzero(at < len(ids))
        known = known[ids[at[known]] == label_ids[known]]
        label_fraud = _of(self.frauds)[::-1][last[known]] != 0
        fraud = np.zeros(len(ids), np.bool_)
        fraud[at[known]] = label_fraud
        return Judged(
            units=_of(self.units)[first],
            kinds=_of(self.kinds)[first],
            fraud=fraud,
            label_fraud=label_fraud,
            label_delays_ms=_of(self.delays)[::-1][last[known]],
            repeated_scores=len(self.ids) - len(ids),
            repeated_labels=len(self.label_ids) - len(label_ids),
            unknown_labels=len(label_ids) - len(known),
        )


class Cohorts:
    """All cohorts that have not been judged.

    Parameters
    ----------
    judged_until_ms
        Cohorts that ended by then have been, and take nothing any more.
    """

    def __init__(self, judged_until_ms: int | None = None):
        self._cohorts: dict[int, _Cohort] = {}
        self.judged_until_ms = judged_until_ms

    @property
    def payments(self) -> int:
        """How many records of payments wait."""
        return sum(len(cohort.ids) for cohort in self._cohorts.values())

    @property
    def labels(self) -> int:
        """How many labels wait."""
        return sum(len(cohort.label_ids) for cohort in self._cohorts.values())

    def is_judged(self, times_ms: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return whether the cohort of each event time has been judged."""
        if self.judged_until_ms is None:
            return np.zeros(len(times_ms), np.bool_)
        judged: NDArray[np.bool_] = times_ms < self.judged_until_ms
        return judged

    def add_scores(
        self,
        place: Place,
        offsets: NDArray[np.int64],
        ids: NDArray[np.int64],
        times_ms: NDArray[np.int64],
        units: NDArray[np.int64],
        kinds: NDArray[np.int64],
    ) -> None:
        """Add n scores of one partition, none of a judged cohort."""
        for cohort, rows in self._by_cohort(place, offsets, times_ms):
            cohort.ids.frombytes(ids[rows].tobytes())
            cohort.units.frombytes(units[rows].astype(np.int32).tobytes())
            cohort.kinds.frombytes(kinds[rows].astype(np.uint16).tobytes())

    def add_labels(
        self,
        place: Place,
        offsets: NDArray[np.int64],
        ids: NDArray[np.int64],
        times_ms: NDArray[np.int64],
        delays_ms: NDArray[np.int64],
        fraud: NDArray[np.bool_],
    ) -> None:
        """Add m labels of one partition, none of a judged cohort.

        Parameters
        ----------
        times_ms, delays_ms
            (m,) event time of the payment, and from there to when the label was known.
        """
        for cohort, rows in self._by_cohort(place, offsets, times_ms):
            cohort.label_ids.frombytes(ids[rows].tobytes())
            cohort.delays.frombytes(delays_ms[rows].tobytes())
            cohort.frauds.frombytes(fraud[rows].astype(np.int8).tobytes())

    def due(self, until_ms: int) -> int | None:
        """Return up to where cohorts that end by a time can be judged, None if none."""
        end = until_ms // STEP_MS * STEP_MS
        if self.judged_until_ms is not None and end <= self.judged_until_ms:
            return None
        return end

    def judge(self, until_ms: int) -> Iterator[Judged]:
        """Yield the cohorts that end by a time, in their order, and forget them."""
        for number in sorted(self._cohorts):
            if (number + 1) * STEP_MS <= until_ms:
                yield self._cohorts.pop(number).judge()
        self.judged_until_ms = until_ms

    def first_offsets(self) -> Mapping[Place, int]:
        """Return the offset of the first record that waits, by partition."""
        first: dict[Place, int] = {}
        for cohort in self._cohorts.values():
            for place, offset in cohort.first_offsets.items():
                first[place] = min(offset, first.get(place, offset))
        return first

    def _by_cohort(
        self, place: Place, offsets: NDArray[np.int64], times_ms: NDArray[np.int64]
    ) -> Iterator[tuple[_Cohort, NDArray[np.intp]]]:
        """Yield each cohort that takes some of the rows, and which."""
        numbers = times_ms // STEP_MS
        for number in np.unique(numbers).tolist():
            cohort = self._cohorts.setdefault(number, _Cohort())
            rows = np.flatnonzero(numbers == number)
            first = int(offsets[rows].min())
            known = cohort.first_offsets.get(place, first)
            cohort.first_offsets[place] = min(first, known)
            yield cohort, rows


def identities(
    transaction_ids: Sequence[str], times_ms: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return (n,) what tells payments apart: hashes, the same within this process."""
    pairs = zip(transaction_ids, times_ms.tolist(), strict=True)
    return np.fromiter(map(hash, pairs), np.int64, len(transaction_ids))


def _of(numbers: array[int]) -> NDArray[np.int64]:
    return np.array(numbers, np.int64)
