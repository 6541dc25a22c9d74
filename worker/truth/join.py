"""Takes records of scores and labels in, and judges what is old enough."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.codec import Decoder
from worker.codec.labels import FRAUD, LABEL_TIME, label_schema
from worker.codec.score_reader import ScoreColumns, read_scores
from worker.records import EventSchema, RecordBatch, TopicPartition
from worker.truth.clock import EventClock
from worker.truth.cohorts import Cohorts, Judged, identities
from worker.truth.tally import DECISIONS, Tally

_FLAGGED, _PASSED, _CONTROL = range(len(DECISIONS))


class Place(NamedTuple):
    """How far a partition is read, and from where on its records are still needed."""

    position: int
    needed: int


class Maturity(NamedTuple):
    """When a payment is judged.

    Attributes
    ----------
    label_ms
        A label counts if it was known so long after its payment at the latest.
    grace_ms
        What is behind the clock by less than this is still waited for, beyond that:
        labels and scores on their way.
    """

    label_ms: int
    grace_ms: int

    @property
    def total_ms(self) -> int:
        """How long a payment waits."""
        return self.label_ms + self.grace_ms


class Join:
    """The whole state of `fraud-worker truth`: positions, cohorts, clock and tally.

    Parameters
    ----------
    schema
        Of the transactions.
    scores, labels
        The partitions of both topics, and how far each was read when `tally` was what
        had been counted: at its start where it never was.

    Attributes
    ----------
    score_places
        The partitions of the scores.
    """

    def __init__(
        self,
        schema: EventSchema,
        maturity: Maturity,
        scores: Mapping[TopicPartition, int],
        labels: Mapping[TopicPartition, int],
        tally: Tally,
    ):
        self.tally = tally
        self._maturity = maturity
        self.score_places = frozenset(scores)
        self._counted = {**scores, **labels}
        self._positions: dict[TopicPartition, int] = {}
        self._cohorts = Cohorts(tally.judged_until_ms)
        self._clock = EventClock(scores)
        self._decoder = Decoder(label_schema(schema, ()), key_is_entity=None)
        self._kinds: dict[tuple[str, int], int] = {}

    @property
    def waiting_payments(self) -> int:
        """How many records of payments wait to be judged."""
        return self._cohorts.payments

    @property
    def waiting_labels(self) -> int:
        """How many labels wait for that."""
        return self._cohorts.labels

    @property
    def is_restored(self) -> bool:
        """Whether all that was read before has been read again."""
        read = self._positions
        return all(read.get(place, 0) >= at for place, at in self._counted.items())

    def read(self, place: TopicPartition, records: RecordBatch) -> None:
        """Take the next records of a partition, at least one."""
        offsets = np.array(records.offsets, np.int64)
        # What was read before a restart is known to the tally.
        fresh = offsets >= self._counted[place]
        take = self._take_scores if place in self.score_places else self._take_labels
        take(place, records, offsets, fresh)

    def passed(self, place: TopicPartition, position: int) -> None:
        """Note that nothing lies before an offset that has not been read."""
        self._positions[place] = max(position, self._positions.get(place, 0))

    def due(self, holding: Collection[TopicPartition]) -> int | None:
        """Return up to which event time cohorts can be judged now; None where none can.

        Parameters
        ----------
        holding
            The partitions that may still bring something.
        """
        now_ms = self._clock.now_ms(holding) if self.is_restored else None
        if now_ms is None:
            return None
        return self._cohorts.due(now_ms - self._maturity.total_ms)

    def judge(self, until_ms: int) -> None:
        """Judge the cohorts that end by an event time, and count them."""
        names = list(self._kinds)
        for judged in self._cohorts.judge(until_ms):
            self._count(judged, names)
        self.tally.judged_until_ms = until_ms

    def places(self) -> dict[TopicPartition, Place]:
        """Return what must be remembered of each partition for a successor."""
        needed = self._cohorts.first_offsets()
        places = {}
        for place, counted in self._counted.items():
            position = max(counted, self._positions.get(place, 0))
            places[place] = Place(position, min(position, needed.get(place, position)))
        return places

    def _count(self, judged: Judged, names: list[tuple[str, int]]) -> None:
        tally = self.tally
        for kind in np.unique(judged.kinds).tolist():
            version, decision = names[kind]
            of = judged.kinds == kind
            decisions = np.full(int(of.sum()), decision)
            tally.model(version).count(judged.units[of], decisions, judged.fraud[of])
        tally.count_labels(judged.label_fraud, judged.label_delays_ms)
        tally.scores["judged"] += len(judged.fraud)
        tally.scores["repeated"] += judged.repeated_scores
        tally.unmatched["repeated"] += judged.repeated_labels
        tally.unmatched["unknown"] += judged.unknown_labels

    def _take_scores(
        self,
        place: TopicPartition,
        records: RecordBatch,
        offsets: NDArray[np.int64],
        fresh: NDArray[np.bool_],
    ) -> None:
        found = read_scores(records.values)
        times, rows = found.event_time_ms, found.rows
        if len(rows):
            self._clock.saw(place, int(times.max()))
        gone = self._cohorts.is_judged(times)
        new_gone = gone & fresh[rows]
        outcomes = self.tally.scores
        outcomes["malformed"] += int(fresh.sum() - fresh[rows].sum())
        outcomes["repeated"] += int((new_gone & found.duplicate).sum())
        outcomes["late"] += int((new_gone & ~found.duplicate).sum())
        keep = np.flatnonzero(~gone)
        ids = identities(found.transaction_ids, times)
        self._cohorts.add_scores(
            place,
            offsets[rows][keep],
            ids[keep],
            times[keep],
            found.units[keep],
            self._kinds_of(found)[keep],
        )

    def _kinds_of(self, found: ScoreColumns) -> NDArray[np.int64]:
        """Number the pairs of model and decision as they come.

        The one place where it is decided what a payment is counted as.
        """
        decisions = np.where(found.flagged, _FLAGGED, _PASSED)
        decisions[found.control_group] = _CONTROL
        pairs = zip(found.model_versions, decisions.tolist(), strict=True)
        kinds = self._kinds
        return np.array([kinds.setdefault(p, len(kinds)) for p in pairs], np.int64)

    def _take_labels(
        self,
        place: TopicPartition,
        records: RecordBatch,
        offsets: NDArray[np.int64],
        fresh: NDArray[np.bool_],
    ) -> None:
        decoded = self._decoder.decode(
            records.keys, records.values, records.timestamps_ms
        )
        events, rows = decoded.events, decoded.rows
        times, known = events.event_time_ms, _integers(events.columns[LABEL_TIME])
        if len(rows):
            self._clock.saw(place, int(known.max()))
        delays = known - times
        too_late = self._cohorts.is_judged(times) | (delays > self._maturity.label_ms)
        self.tally.unmatched["malformed"] += int(fresh.sum() - fresh[rows].sum())
        self.tally.late_labels += int((too_late & fresh[rows]).sum())
        keep = np.flatnonzero(~too_late)
        ids = identities(events.transaction_ids, times)
        self._cohorts.add_labels(
            place,
            offsets[rows][keep],
            ids[keep],
            times[keep],
            delays[keep],
            _integers(events.columns[FRAUD])[keep] != 0,
        )


def _integers(column: object) -> NDArray[np.int64]:
    assert isinstance(column, np.ndarray)
    return column
