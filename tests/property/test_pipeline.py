"""How a log is cut into batches, and what lies between, changes no byte."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pipeline_builders import DAY_MS, new_partition, new_pipeline, payment
from tests.small_models import small_model
from tests.streams import FIRST_MS, HOUR_MS, append
from worker.pipeline import PartitionResult, PartitionState, Pipeline
from worker.records import NextOffset, Output, RecordBatch, TopicPartition
from worker.scoring import LoadedModel

PLACES = [TopicPartition("transactions", partition) for partition in range(3)]


@dataclass
class Record:
    """One record of the log of a partition."""

    place: TopicPartition
    offset: int
    timestamp_ms: int
    key: bytes
    value: bytes | None


@dataclass
class Log:
    """A partition's records, and where and how it was taken up."""

    place: TopicPartition
    records: list[Record]
    live_from: int
    incomplete_until_ms: int | None


@dataclass
class Answers:
    """All that became of a partition, whatever the batches."""

    outputs: list[Output] = field(default_factory=list)
    next_offset: NextOffset | None = None
    counts: list[int] = field(default_factory=lambda: [0] * 7)

    def add(self, part: PartitionResult) -> None:
        self.outputs += part.outputs
        self.next_offset = part.next_offset or self.next_offset
        more = [part.consumed, part.scored, part.replayed, part.flagged]
        more += [part.late, part.duplicate, part.incomplete]
        self.counts = [a + b for a, b in zip(self.counts, more, strict=True)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return small_model(tmp_path_factory.mktemp("models"))


@st.composite
def logs(draw: st.DrawFn, place: TopicPartition) -> Log:
    """A few customers, who are the same in all partitions; some records are broken."""
    offset, now_ms = draw(st.integers(0, 3)), FIRST_MS
    first = offset
    records = []
    for _ in range(draw(st.integers(0, 12))):
        now_ms += draw(st.sampled_from([0, 1, HOUR_MS, DAY_MS]))
        back_ms = draw(st.sampled_from([0, 0, 0, HOUR_MS, 2 * DAY_MS]))
        customer = draw(st.sampled_from(["a", "b"]))
        value = draw(
            st.one_of(
                st.sampled_from([None, b"", b"{", payment(customer_id="c")]),
                st.builds(
                    payment,
                    transaction_id=st.sampled_from("123456789"),
                    event_time=st.just(now_ms - back_ms),
                    customer_id=st.just(customer),
                    amount=st.sampled_from([0, 12.5, 57.16, 250]),
                ),
            )
        )
        records.append(Record(place, offset, now_ms, customer.encode(), value))
        offset += draw(st.sampled_from([1, 1, 2]))
    incomplete_until_ms = draw(st.sampled_from([None, FIRST_MS + DAY_MS]))
    return Log(place, records, draw(st.integers(first, offset)), incomplete_until_ms)


@settings(max_examples=100)
@given(st.data())
def test_batches_and_neighbours_change_no_byte(
    model: LoadedModel, data: st.DataObject
) -> None:
    """Each partition alone in one batch answers as in any mixture of batches."""
    all_logs = [data.draw(logs(place)) for place in PLACES]
    turns = [log.place for log in all_logs for _ in log.records]
    order = data.draw(st.permutations(turns))
    cuts = data.draw(st.sets(st.integers(1, max(1, len(order)))))
    pipeline = new_pipeline(model)

    together = _answers(
        pipeline, _taken_up(model, all_logs), _batches(order, cuts, all_logs)
    )

    for log in all_logs:
        alone = _answers(pipeline, _taken_up(model, [log]), [log.records])
        assert alone.get(log.place) == together.get(log.place)


def _taken_up(
    model: LoadedModel, some: list[Log]
) -> dict[TopicPartition, PartitionState]:
    return {
        log.place: new_partition(
            model,
            log.place,
            live_from=log.live_from,
            incomplete_until_ms=log.incomplete_until_ms,
        )
        for log in some
    }


def _batches(
    order: list[TopicPartition], cuts: set[int], all_logs: list[Log]
) -> list[list[Record]]:
    """Merge the logs in an order of partitions, and cut before some records."""
    left = {log.place: iter(log.records) for log in all_logs}
    batches: list[list[Record]] = [[]]
    for number, place in enumerate(order):
        if number in cuts:
            batches.append([])
        batches[-1].append(next(left[place]))
    return batches


def _answers(
    pipeline: Pipeline,
    partitions: dict[TopicPartition, PartitionState],
    batches: list[list[Record]],
) -> dict[TopicPartition, Answers]:
    answers: dict[TopicPartition, Answers] = {}
    for batch in batches:
        records = RecordBatch()
        for record in batch:
            append(
                records,
                record.key,
                record.value,
                offset=record.offset,
                timestamp_ms=record.timestamp_ms,
                place=record.place,
            )
        for place, part in pipeline.run(records, partitions).parts.items():
            answers.setdefault(place, Answers()).add(part)
    return answers
