"""Reads everything that stages have published, and keeps it by what it follows from."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np

from worker.audit.hops import Hop, digest, whole
from worker.audit.ledger import Ledger
from worker.audit.published import Place, dead_letter_origin, score_origin
from worker.audit.report import AuditReport, Example, Finding
from worker.audit.scope import Scope
from worker.codec.forwarding import NotForwarded
from worker.errors import StateUnusable
from worker.features import Spec
from worker.kafka.admin import Cluster
from worker.kafka.reader import LogReader, ReadBatch, Span
from worker.pipeline import Topology
from worker.pipeline.chain import codec_of, label_targets
from worker.records import TopicPartition

#: How long to wait for records that an open commit hides, seconds.
_HIDDEN_SECONDS = 10.0

#: Partition of a record that follows from none of the audited topics.
_NONE = -1


class StagedLedgers:
    """A hop for each pair of a topic at the edge and one that follows from it."""

    def __init__(
        self,
        spec: Spec,
        topology: Topology,
        scopes: Sequence[Scope],
        report: AuditReport,
        closing: ExitStack,
    ):
        self._spec = spec
        self._topology = topology
        self._report = report
        self._hops: dict[tuple[str, str], Hop] = {}
        transactions, labels = topology.transactions, topology.labels
        pairs = [(transactions, topology.dead_letters), (transactions, topology.scores)]
        pairs += [(transactions, inner) for inner in topology.inner]
        if labels is not None:
            pairs.append((labels, topology.dead_letters))
            pairs += [(labels, inner) for inner, _ in label_targets(spec, topology)]
        for origin, published in pairs:
            ranges = {
                scope.place.partition: range(scope.first, max(scope.first, scope.limit))
                for scope in scopes
                if scope.place.topic == origin
            }
            ledger = Ledger(ranges)
            closing.callback(ledger.close)
            self._hops[origin, published] = Hop(origin, published, ledger, report)

    def of(self, origin_topic: str, published_topic: str) -> Hop:
        """Return the hop from a topic at the edge to one that follows from it."""
        return self._hops[origin_topic, published_topic]

    def fill(self, cluster: Cluster, reader: LogReader) -> None:
        """Read all that was published.

        Raises
        ------
        StateUnusable
            An inner topic holds something that no stage has written.
        """
        for topic in dict.fromkeys(published for _, published in self._hops):
            for place in cluster.partitions(topic):
                self._read(cluster, reader, place)

    def finish(self) -> None:
        """Report what follows from nothing."""
        for hop in self._hops.values():
            hop.finish()

    def _read(self, cluster: Cluster, reader: LogReader, place: TopicPartition) -> None:
        bounds, ends = cluster.bounds([place])[place], cluster.open_ends([place])
        span = Span(place, bounds.start, ends[place])
        removed_until_ms = reader.removed_until(span)
        if removed_until_ms is not None:
            self._note_removed(place, removed_until_ms)
        read = reader.read(span, with_headers=True, patience_seconds=_HIDDEN_SECONDS)
        for batch in read:
            if place.topic in self._topology.inner:
                self._keep_handed_on(batch, place)
            else:
                self._keep_answers(batch, place)
        if not read.is_complete:
            self._report.notices.append(
                f"{place.topic}/{place.partition}: what follows offset "
                f"{read.next_offset} is hidden by a commit that is still open"
            )

    def _note_removed(self, place: TopicPartition, until_ms: int) -> None:
        self._report.notices.append(
            f"{place.topic}/{place.partition}: its first records are no longer kept; "
            "what is as old as they were is not missed"
        )
        for (_, published), hop in self._hops.items():
            if published == place.topic:
                hop.needed_after_ms = max(hop.needed_after_ms, until_ms)

    def _keep_answers(self, batch: ReadBatch, place: TopicPartition) -> None:
        is_score = place.topic == self._topology.scores
        read = score_origin if is_score else dead_letter_origin
        origins = list(map(read, batch.headers))
        records = batch.records
        contents = list(map(whole, records.keys, records.values, batch.headers))
        for topic in (self._topology.transactions, self._topology.labels):
            hop = self._hops.get((topic or "", place.topic))
            if hop is not None:
                own = [_within(origin, hop.origin_topic) for origin in origins]
                of_rows = np.array(own, np.int64).reshape(-1, 2).T
                hop.keep((of_rows[0], of_rows[1]), place, records.offsets, contents)
        for row, origin in enumerate(origins):
            if origin is None:
                at = records.offsets[row]
                example = Example(
                    Finding.UNEXPECTED, place, at, None, None, "says no origin"
                )
                self._report.add(Finding.UNEXPECTED, 1, [example])

    def _keep_handed_on(self, batch: ReadBatch, place: TopicPartition) -> None:
        records, topology = batch.records, self._topology
        codec = codec_of(self._spec, topology.stages.index(place.topic))
        try:
            found = codec.decode(records)
        except NotForwarded as error:
            at = f"{place.topic}/{place.partition}/{records.offsets[error.row]}"
            raise StateUnusable(f"{at} was not written by a stage") from None
        contents = list(map(digest, records.keys, records.values))
        origins = found.origins.partitions, found.origins.offsets
        for topic, rows, of_rows in (
            (topology.transactions, found.rows, origins),
            (topology.labels, found.label_rows, found.label_origins),
        ):
            index = rows.tolist()
            if index and topic is not None:
                self.of(topic, place.topic).keep(
                    of_rows,
                    place,
                    [records.offsets[row] for row in index],
                    [contents[row] for row in index],
                )


def _within(origin: Place | None, topic: str) -> tuple[int, int]:
    if origin is None or origin[0].topic != topic:
        return _NONE, 0
    return origin[0].partition, origin[1]
