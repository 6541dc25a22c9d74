"""Records in, facts out: decode, transform, score and encode a batch, in that order.

Pure but for the state that it advances: sends nothing, logs nothing, reads no clock
but its stopwatch. Knows no broker and no commit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate, pairwise

from worker.pipeline.chain import build_stages
from worker.pipeline.dead_letters import DeadLetters
from worker.pipeline.partition import PartitionState, pick
from worker.pipeline.results import BatchResult, PartitionResult, Rejected
from worker.pipeline.stage import Stage
from worker.pipeline.stopwatch import STEPS, Stopwatch
from worker.pipeline.topology import TopicNames, Topology
from worker.records import RecordBatch, TopicPartition

__all__ = [
    "STEPS",
    "BatchResult",
    "DeadLetters",
    "PartitionResult",
    "PartitionState",
    "Pipeline",
    "Rejected",
    "Stage",
    "TopicNames",
    "Topology",
    "build_stages",
    "pick",
]


class Pipeline:
    """Hands the records of each topic to the stage that answers them.

    Parameters
    ----------
    stages
        By the topic that a stage consumes.
    """

    def __init__(self, stages: Mapping[str, Stage]):
        self._stages = dict(stages)

    def run(
        self,
        records: RecordBatch,
        partitions: Mapping[TopicPartition, PartitionState],
    ) -> BatchResult:
        """Answer a batch of records and advance the state of their partitions.

        Parameters
        ----------
        records
            Of any topics and partitions, mixed as they were polled.
        partitions
            The state of every partition in the batch; each is advanced once, so a
            result that could not be committed is sent again, never computed again.

        Raises
        ------
        StateUnusable
            A limit on live keys or events is reached.
        BundleRejected
            The model gave something that is no probability.
        """
        watch = Stopwatch()
        parts: dict[TopicPartition, PartitionResult] = {}
        for topic, of_topic in _by_topic(records):
            parts |= self._stages[topic].run(of_topic, partitions, watch)
        return BatchResult(parts, watch.seconds)


def _by_topic(records: RecordBatch) -> Iterator[tuple[str, RecordBatch]]:
    """Yield the records of each topic; mostly they lie together already."""
    topics = records.topics
    counts = {topic: topics.count(topic) for topic in dict.fromkeys(topics)}
    if len(counts) == 1:
        yield topics[0], records
        return
    firsts = accumulate(counts.values(), initial=0)
    spans = [slice(first, last) for first, last in pairwise(firsts)]
    whole = zip(counts.items(), spans, strict=True)
    if all(topics[span].count(topic) == count for (topic, count), span in whole):
        yield from (
            (t, records.cut(span)) for t, span in zip(counts, spans, strict=True)
        )
        return
    for topic in counts:
        yield topic, pick(records, [i for i, t in enumerate(topics) if t == topic])
