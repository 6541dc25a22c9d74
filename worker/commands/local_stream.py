"""All stages of a model at work on lines of files, in memory, without a broker.

The lines make up a log of one partition; what a stage hands on, the next one reads at
once. A label stands before the first payment that is not older than it, as the stream
and training have it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from worker import __version__
from worker.codec import Decoder
from worker.codec.labels import LABEL_TIME, label_schema
from worker.commands.lines import Line
from worker.errors import InvalidConfig
from worker.pipeline import (
    PartitionState,
    Pipeline,
    TopicNames,
    Topology,
    build_stages,
)
from worker.pipeline.chain import label_targets
from worker.records import Decoded, Output, RecordBatch, TopicPartition
from worker.scoring import LoadedModel

#: Names of topics that exist here only.
_NAMES = TopicNames("lines", "labels", "scores", "dead-letters")

#: Beyond every offset: what is read below it is folded and not answered.
_NEVER = 2**62


class Answered(NamedTuple):
    """What became of lines: values of scores, how many are flagged, and what is none.

    `rejected` holds position, reason and field of each line that is no payment.
    """

    scores: list[bytes]
    flagged: int
    rejected: list[tuple[int, str, str | None]]


class LocalStream:
    """Answers lines, and keeps what they leave behind for the next ones.

    Parameters
    ----------
    threshold
        Published scores that reach it are flagged.
    control_group_share
        But for this share of them, which is let through.
    """

    def __init__(
        self,
        model: LoadedModel,
        *,
        threshold: float,
        control_group_share: float = 0.0,
        max_keys: int,
        max_events: int,
    ):
        self._spec = model.spec
        self._topology = Topology.of(model.spec, "local", _NAMES)
        self._pipeline = Pipeline(
            build_stages(
                model,
                self._topology,
                threshold=threshold,
                app_version=__version__,
                control_group_share=control_group_share,
                max_message_bytes=0,  # of what is no payment only the place is told
                checks_keys=False,
            )
        )
        stages = dict(zip(self._topology.stages, model.stages, strict=True))
        self._partitions = {
            place: PartitionState(
                place,
                epoch=0,
                state=stages.get(topic, model.stages[0]).new_state(
                    max_keys=max_keys, max_events=max_events
                ),
            )
            for topic in self._topology.consumed
            for place in [TopicPartition(topic, 0)]
        }
        self._last = self._partitions[TopicPartition(self._topology.stages[-1], 0)]
        self._times = Decoder(model.spec.schema, key_is_entity=None)
        self._labels: list[bytes] = []
        self._label_times_ms = np.zeros(0, np.int64)
        self._labels_done = 0

    def add_labels(self, lines: Sequence[Line]) -> None:
        """Let labels come to be known, each at its time.

        Raises
        ------
        InvalidConfig
            The model looks at none, or lines are no labels.
        """
        if self._topology.labels is None:
            problem = f"--labels: no feature of {self._spec.name} looks at labels"
            raise InvalidConfig([problem], subject="command line")
        keys = [key for _, key in label_targets(self._spec, self._topology)]
        schema = label_schema(self._spec.schema, keys)
        contents = [line.content for line in lines]
        decoded = _decode(Decoder(schema, key_is_entity=None), contents)
        if decoded.rejections:
            raise InvalidConfig(
                [
                    f"line {lines[r.row].number}: {r.reason}"
                    + (f" (field {r.field})" if r.field else "")
                    for r in decoded.rejections
                ],
                subject="--labels",
            )
        times_ms = np.asarray(decoded.events.columns[LABEL_TIME])
        order = np.argsort(times_ms, kind="stable")
        self._labels = [contents[row] for row in order.tolist()]
        self._label_times_ms = times_ms[order]

    def fold(self, lines: Sequence[bytes]) -> None:
        """Take lines for what they do to those after them."""
        self._last.live_from = _NEVER
        self._run(lines)
        self._last.live_from = self._last.next_offset

    def answer(self, lines: Sequence[bytes]) -> Answered:
        """Take lines, and return what became of them."""
        return self._run(lines)

    def _run(self, lines: Sequence[bytes]) -> Answered:
        whole = Answered([], 0, [])
        for first, part in self._between_labels(lines):
            found = self._step(self._topology.transactions, part)
            whole.scores.extend(found.scores)
            whole.rejected.extend((first + p, r, f) for p, r, f in found.rejected)
            whole = whole._replace(flagged=whole.flagged + found.flagged)
        return whole

    def _between_labels(
        self, lines: Sequence[bytes]
    ) -> Iterator[tuple[int, Sequence[bytes]]]:
        """Yield runs of lines with their place, after the labels known before them."""
        first = 0
        for at in self._label_places(lines):
            if at > first:
                yield first, lines[first:at]
                first = at
            assert self._topology.labels is not None
            label = self._labels[self._labels_done]
            self._labels_done += 1
            self._step(self._topology.labels, [label])
        if first < len(lines):
            yield first, lines[first:]

    def _label_places(self, lines: Sequence[bytes]) -> list[int]:
        """Return before which lines the labels stand that are due among them."""
        times_ms = self._label_times_ms[self._labels_done :]
        if not len(times_ms):
            return []
        decoded = _decode(self._times, lines)
        latest_ms = np.maximum.accumulate(decoded.events.event_time_ms)
        places = np.searchsorted(latest_ms, times_ms, "left")
        due = places[places < len(latest_ms)]
        return [int(decoded.rows[place]) for place in due]

    def _step(self, topic: str, values: Sequence[bytes]) -> Answered:
        """Let records from outside pass the stage that reads them, and all after it."""
        return self._pass([Output(topic, v, b"", 0, []) for v in values])

    def _pass(self, outputs: Sequence[Output]) -> Answered:
        whole = Answered([], 0, [])
        for topic in dict.fromkeys(output.topic for output in outputs):
            of_topic = [output for output in outputs if output.topic == topic]
            if topic == self._topology.scores:
                whole.scores.extend(o.value for o in of_topic if o.value is not None)
            elif topic != self._topology.dead_letters:
                found = self._read(TopicPartition(topic, 0), of_topic)
                whole.scores.extend(found.scores)
                whole.rejected.extend(found.rejected)
                whole = whole._replace(flagged=whole.flagged + found.flagged)
        return whole

    def _read(self, place: TopicPartition, outputs: Sequence[Output]) -> Answered:
        records = _as_records(outputs, self._partitions[place].next_offset)
        part = self._pipeline.run(records, self._partitions).parts[place]
        rejected = [(r.position, r.reason.value, r.field) for r in part.rejected]
        later = self._pass(part.outputs)
        return Answered(later.scores, part.flagged + later.flagged, rejected)


def _decode(decoder: Decoder, lines: Sequence[bytes]) -> Decoded:
    return decoder.decode([None] * len(lines), lines, [-1] * len(lines))


def _as_records(outputs: Sequence[Output], first_offset: int) -> RecordBatch:
    count = len(outputs)
    return RecordBatch(
        [output.topic for output in outputs],
        [0] * count,
        list(range(first_offset, first_offset + count)),
        [-1] * count,
        [output.key for output in outputs],
        [output.value for output in outputs],
    )
