"""The loop: poll, answer, commit; and what happens when a commit does not go through.

State advances once, in the pipeline. A result that was not committed is sent again as
it is, without the partitions that have moved on; nothing is ever computed twice.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence

from worker.errors import BrokerFailed, CommitAborted, CommitUnknown
from worker.loop.assignment import Assignment
from worker.loop.hold import Hold
from worker.loop.idle import offsets_alone
from worker.loop.inputs import inputs_of
from worker.loop.limits import Limits
from worker.loop.phase import Phase
from worker.loop.ports import Consumer, Producer
from worker.loop.reporting import Report
from worker.loop.restoring import Restoring
from worker.loop.standing_still import StandingStill
from worker.loop.stop import Stop
from worker.loop.watchdog import Watchdog
from worker.metrics import AbortReason, Rebalance
from worker.pipeline import BatchResult, Pipeline
from worker.records import NextOffset, RecordBatch, TopicPartition

_LOG = logging.getLogger(__name__)


class Worker:
    """Answers the records of its share of the input, until it is asked to stop.

    Attributes
    ----------
    phase
        Where in its life it is.
    """

    def __init__(
        self,
        consumer: Consumer,
        producer: Producer,
        pipeline: Pipeline,
        *,
        restoring: Restoring,
        report: Report,
        limits: Limits,
        stop: Stop,
    ):
        self._consumer = consumer
        self._producer = producer
        self._pipeline = pipeline
        self._report = report
        self._stop = stop
        self._limits = limits
        self._clock = stop.clock
        self._watchdog = Watchdog(limits.commit_seconds, stop.overdue_seconds)
        self._assignment = Assignment(consumer, restoring, self._clock)
        self._snapshots = restoring.snapshots
        self._standing_still = StandingStill(consumer, limits.dead_letters)
        self._inputs = inputs_of(
            limits.aligning, consumer, self._assignment, self._standing_still
        )
        self._is_left_behind = False
        self._committed_at: dict[TopicPartition, float] = {}
        self._measured_at = self._clock()
        self.phase = Phase.STARTING

    def run(self) -> None:
        """Work until asked to stop.

        Raises
        ------
        Fatal
            The process must end; its exit code says why.
        """
        self._consumer.subscribe(
            on_assigned=self._on_assigned,
            on_revoked=self._on_revoked,
            on_lost=self._on_lost,
        )
        with self._watchdog:
            try:
                while not self._stop.is_requested:
                    self.run_once()
                self._take_last_snapshots()
            except BrokerFailed:
                if not self._stop.is_requested:
                    raise
                # It was to end anyway; the successor settles what is open.
                _LOG.warning("stopped_without_broker")
            finally:
                self._close()

    def run_once(self) -> None:
        """One iteration.

        1. poll a batch of records, and whatever assignment changes come with it
        2. decode, transform, score and encode it; state advances here, once
        3. commit outputs and next offsets together, as often as that takes
        4. stop partitions that are nearly all dead letters
        5. copy a slice of a snapshot; fill states that are restored from one
        6. once a second: measure; now and then: commit idle partitions again
        """
        records = self._next_records()
        if len(records):
            result = self._pipeline.run(records, self._assignment.partitions)
            self._assignment.note_folded(result)
            self._standing_still.check(self._commit(result))
        self._keep_house()

    def _next_records(self) -> RecordBatch:
        limits, is_loading = self._limits, bool(self._assignment.loading)
        longest = limits.load_poll_seconds if is_loading else limits.poll_seconds
        seconds = self._inputs.poll_seconds(longest)
        if seconds is not None:
            self._inputs.add(self._poll(seconds))
        return self._inputs.take(limits.max_batch)

    def _poll(self, seconds: float) -> RecordBatch:
        self._report.polling()
        with self._watchdog.watching("a poll"):
            limit, gather = self._limits.max_batch, self._inputs.gather_seconds
            records = self._consumer.poll(limit, seconds, gather)
        self._report.polled()
        if self.phase is Phase.STARTING and self._assignment.is_begun:
            self._enter(Phase.RUNNING)
        return records

    def _commit(self, result: BatchResult) -> BatchResult:
        """Send a result until what is still ours of it is committed; return that."""
        hold = Hold(since=self._clock())
        result = self._still_ours(result)
        while result.next_offsets and not self._was_committed(result):
            if not self._go_on_holding(hold):
                return result.only(())
            result = self._still_ours(result)
        self._end_hold(hold)
        now = self._clock()
        self._committed_at.update(dict.fromkeys(result.next_offsets, now))
        self._report.committed(result, now - hold.since)
        return result

    def _was_committed(self, result: BatchResult) -> bool:
        """Try once."""
        try:
            with self._watchdog.watching("a commit"):
                self._producer.commit(result.outputs, result.next_offsets)
        except CommitUnknown:
            self._report.aborted(AbortReason.UNKNOWN)
            return not self._stop.is_requested and self._was_taken(result.next_offsets)
        except CommitAborted:
            self._report.aborted(AbortReason.ABORTED)
            return False
        return True

    def _was_taken(self, next_offsets: Mapping[TopicPartition, NextOffset]) -> bool:
        """Ask the broker what became of a commit.

        It was taken as a whole or not at all. A partition alone may be further on
        because another worker has answered for it; all of them are so only if the
        commit was taken, or if nothing of it is ours to send any more.
        """
        committed = self._consumer.committed(list(next_offsets))
        return all(
            (found := committed[place]) is not None and found.offset >= wanted.offset
            for place, wanted in next_offsets.items()
        )

    def _go_on_holding(self, hold: Hold) -> bool:
        """Poll before the next attempt; False if the time for attempts is over.

        Raises
        ------
        BrokerFailed
            The result was sent for so long that waiting is no answer any more.
        """
        if self._stop.is_overdue:
            _LOG.warning("result_left_to_successor")
            self._is_left_behind = True
            return False
        lasted = self._clock() - hold.since
        if lasted > self._limits.hold_seconds:
            raise BrokerFailed(
                f"a result could not be committed for {lasted:.0f} s ({hold.tries} "
                "attempts); the log says why each of them failed"
            )
        if self.phase is not Phase.HOLDING:
            self._enter(Phase.HOLDING)
        self._inputs.add(self._poll(hold.next_wait()))
        self._load()
        is_long = lasted > self._limits.pause_after_seconds
        if is_long or self._inputs.is_full(self._limits.max_batch):
            new = self._assignment.partitions.keys() - hold.paused
            self._consumer.pause(new)
            hold.paused |= new
        return True

    def _end_hold(self, hold: Hold) -> None:
        if hold.tries:
            self._enter(Phase.RUNNING)
            others = self._standing_still.places, self._inputs.paused
            self._consumer.resume(hold.paused.difference(*others))
            seconds = round(self._clock() - hold.since, 3)
            _LOG.info("hold_ended", extra={"seconds": seconds, "tries": hold.tries})

    def _still_ours(self, result: BatchResult) -> BatchResult:
        """Return the result without partitions that have moved on since the poll."""
        is_current = self._assignment.is_current
        ours = [p for p, epoch in result.epochs.items() if is_current(p, epoch)]
        return result if len(ours) == len(result.parts) else result.only(ours)

    def _keep_house(self) -> None:
        assignment = self._assignment
        if assignment.restoring:
            self._load()
            self._report.restored(assignment.note_live())
        self._standing_still.end_if_all(assignment.partitions, assignment.loading)
        if self._snapshots is not None:
            self._snapshots.step(assignment.folded, assignment.restoring)
        self._commit_alone(self._inputs.to_be_told())
        now = self._clock()
        if now - self._measured_at >= self._limits.measure_seconds:
            self._measured_at = now
            self._report.measure(self._consumer, assignment, self._inputs.waiting)
            assignment.tell_progress()
            if self._snapshots is not None:
                self._report.measure_snapshots(self._snapshots, assignment.folded)
            before = now - self._limits.idle_commit_seconds
            self._commit_alone(
                [p for p, at in self._committed_at.items() if at < before]
            )

    def _load(self) -> None:
        """Fill states from their snapshots for a moment; read on where one is full."""
        assignment, limits = self._assignment, self._limits
        is_idle = not assignment.partitions
        starts = assignment.load(
            limits.idle_load_seconds if is_idle else limits.load_seconds
        )
        if starts:
            self._consumer.start(starts)

    def _commit_alone(self, places: Collection[TopicPartition]) -> None:
        """Commit live partitions again where they stand."""
        if live := self._assignment.live_among(places):
            self._commit(offsets_alone(live))

    def _on_assigned(
        self, committed: Mapping[TopicPartition, NextOffset | None]
    ) -> Mapping[TopicPartition, int]:
        starts = self._assignment.take_up(committed)
        self._inputs.begin(committed)
        self._committed_at.update(dict.fromkeys(committed, self._clock()))
        self._report.moved(Rebalance.ASSIGNED, committed)
        return starts

    def _on_revoked(self, places: Sequence[TopicPartition]) -> None:
        self._let_go(places, Rebalance.REVOKED)

    def _on_lost(self, places: Sequence[TopicPartition]) -> None:
        self._let_go(places, Rebalance.LOST)

    def _let_go(self, places: Sequence[TopicPartition], event: Rebalance) -> None:
        """Forget all that is known of partitions, wherever it is kept."""
        self._assignment.let_go(places)
        if self._snapshots is not None:
            self._snapshots.forget(places)
        self._inputs.drop(places)
        self._standing_still.forget(places)
        for place in places:
            self._committed_at.pop(place, None)
        self._report.moved(event, places)
        names = [f"{place.topic}/{place.partition}" for place in places]
        _LOG.info(f"partitions_{event}", extra={"partitions": names})

    def _enter(self, phase: Phase) -> None:
        assert self.phase.may_become(phase), (self.phase, phase)
        _LOG.debug("phase", extra={"phase": phase.value})
        self.phase = phase

    def _take_last_snapshots(self) -> None:
        """Leave the state to a successor; only all that was committed is in it."""
        is_settled = not self._is_left_behind and not self._stop.is_overdue
        if self._snapshots is not None and is_settled:
            assignment = self._assignment
            self._snapshots.take_all(assignment.folded, assignment.restoring)

    def _close(self) -> None:
        """Leave in an order in which nothing can be lost: first stop consuming."""
        self._enter(Phase.STOPPING)
        with self._watchdog.watching("leaving the group"):
            try:
                self._consumer.close()
            finally:
                self._producer.close()
        self._enter(Phase.STOPPED)
