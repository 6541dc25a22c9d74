"""A batch becomes scores, dead letters and next offsets: all of them, in log order."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.pipeline_builders import (
    DAY_MS,
    answered,
    flags,
    new_partition,
    new_pipeline,
    payment,
)
from tests.small_models import small_model
from tests.streams import FIRST_MS, HOUR_MS, PLACE, append
from worker.codec import parse_dead_letter
from worker.pipeline import STEPS
from worker.records import NextOffset, Reason, RecordBatch, TopicPartition
from worker.scoring import LoadedModel

OTHER = TopicPartition(PLACE.topic, 1)
BROKEN = b"{"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return small_model(tmp_path_factory.mktemp("models"))


def batch(
    *values: bytes | None, first: int = 0, place: TopicPartition = PLACE
) -> RecordBatch:
    """Records of customer 596 in a row, an hour apart."""
    records = RecordBatch()
    for offset, value in enumerate(values, first):
        add(records, offset, value, place)
    return records


def add(
    records: RecordBatch,
    offset: int,
    value: bytes | None,
    place: TopicPartition = PLACE,
) -> None:
    time_ms = FIRST_MS + offset * HOUR_MS
    append(records, b"596", value, offset=offset, timestamp_ms=time_ms, place=place)


def hourly(hour: int, **changes: object) -> bytes:
    """The payment of an hour, with an id of its own."""
    fields = {"transaction_id": str(hour), "event_time": FIRST_MS + hour * HOUR_MS}
    return payment(**(fields | changes))


def test_a_mixed_batch_is_answered_in_log_order_per_partition(
    model: LoadedModel,
) -> None:
    records = RecordBatch()
    add(records, 0, hourly(0))
    add(records, 7, BROKEN, OTHER)
    add(records, 1, None)
    add(records, 8, hourly(8), OTHER)
    add(records, 2, hourly(2))
    add(records, 9, hourly(9, amount=-1), OTHER)
    partitions = {
        PLACE: new_partition(model, epoch=3),
        OTHER: new_partition(model, OTHER, epoch=5),
    }

    result = new_pipeline(model).run(records, partitions)

    assert answered(result.outputs) == [
        (0, 0, "score"),
        (0, 1, "tombstone"),
        (0, 2, "score"),
        (1, 7, "not_json"),
        (1, 8, "score"),
        (1, 9, "out_of_range"),
    ]
    assert result.epochs == {PLACE: 3, OTHER: 5}
    assert (result.consumed, result.scored, result.replayed) == (6, 3, 0)
    assert result.rejected == {
        Reason.TOMBSTONE: 1,
        Reason.NOT_JSON: 1,
        Reason.OUT_OF_RANGE: 1,
    }
    assert [r.position for r in result.parts[OTHER].rejected] == [0, 2]
    assert [r.offset for r in result.parts[OTHER].rejected] == [7, 9]


def test_an_answer_goes_to_the_partition_of_its_record_under_its_key(
    model: LoadedModel,
) -> None:
    records = batch(hourly(3), BROKEN, first=3, place=OTHER)

    outputs = (
        new_pipeline(model).run(records, {OTHER: new_partition(model, OTHER)}).outputs
    )

    assert [output.topic for output in outputs] == ["scores", "dead-letters"]
    assert [output.partition for output in outputs] == [1, 1]
    assert [output.key for output in outputs] == [b"596", b"596"]
    assert outputs[1].value == BROKEN


def test_next_offsets_are_one_past_the_last_and_remember_the_watermark(
    model: LoadedModel,
) -> None:
    partition = new_partition(model)

    result = new_pipeline(model).run(
        batch(hourly(40), hourly(39), BROKEN, first=40), {PLACE: partition}
    )

    remembered = json.loads(result.next_offsets[PLACE].metadata)
    assert result.next_offsets[PLACE].offset == partition.next_offset == 43
    assert remembered["w"] == partition.watermark_ms == FIRST_MS + 40 * HOUR_MS


def test_a_batch_of_rejected_records_alone_is_committed_too(
    model: LoadedModel,
) -> None:
    result = new_pipeline(model).run(batch(BROKEN, b""), {PLACE: new_partition(model)})

    metadata = '{"v":1,"w":null,"s":0,"a":0}'
    assert result.next_offsets == {PLACE: NextOffset(2, metadata)}
    assert answered(result.outputs) == [(0, 0, "not_json"), (0, 1, "empty")]


def test_no_records_are_no_result(model: LoadedModel) -> None:
    result = new_pipeline(model).run(RecordBatch(), {PLACE: new_partition(model)})

    assert (result.outputs, result.next_offsets) == ([], {})


def test_what_was_answered_before_is_folded_and_rejected_in_silence(
    model: LoadedModel,
) -> None:
    values = [hourly(0), BROKEN, hourly(2), hourly(3), BROKEN, hourly(5)]
    whole = new_pipeline(model).run(batch(*values), {PLACE: new_partition(model)})

    result = new_pipeline(model).run(
        batch(*values), {PLACE: new_partition(model, live_from=3)}
    )

    assert result.outputs == whole.outputs[3:]
    assert (result.consumed, result.scored, result.replayed) == (3, 2, 3)
    assert result.rejected == {Reason.NOT_JSON: 1}
    assert [r.position for r in result.parts[PLACE].rejected] == [1]


def test_a_batch_that_only_replays_has_nothing_to_send_or_commit(
    model: LoadedModel,
) -> None:
    partition = new_partition(model, live_from=3)

    result = new_pipeline(model).run(
        batch(hourly(0), BROKEN, hourly(2)), {PLACE: partition}
    )

    assert (result.outputs, result.next_offsets) == ([], {})
    assert (result.consumed, result.replayed) == (0, 3)
    assert result.rejected == {}
    assert partition.next_offset == 3
    assert partition.state.event_count == 2


def test_scores_before_the_end_of_a_cold_start_say_that_history_is_missing(
    model: LoadedModel,
) -> None:
    partition = new_partition(model, incomplete_until_ms=FIRST_MS + 2 * HOUR_MS)

    result = new_pipeline(model).run(
        batch(hourly(0), hourly(1), hourly(2), hourly(3)), {PLACE: partition}
    )

    incomplete = ["state_incomplete"]
    found = [flags(output) for output in result.outputs]
    assert found == [incomplete, incomplete, [], []]
    assert result.parts[PLACE].incomplete == 2


def test_late_and_repeated_payments_are_scored_and_flagged(
    model: LoadedModel,
) -> None:
    late_ms = FIRST_MS + 40 * HOUR_MS - DAY_MS - 1
    records = batch(
        hourly(40),
        payment(transaction_id="late", event_time=late_ms),
        hourly(40),
        payment(transaction_id="just in time", event_time=late_ms + 1),
        first=40,
    )

    result = new_pipeline(model).run(records, {PLACE: new_partition(model)})

    part = result.parts[PLACE]
    found = [flags(output) for output in result.outputs]
    assert found == [[], ["late"], ["duplicate"], []]
    assert (part.scored, part.late, part.duplicate) == (4, 1, 1)


def test_flagged_scores_are_counted_as_they_are_published(model: LoadedModel) -> None:
    amounts = [1, 5, 20, 100, 150, 250]
    values = [hourly(hour, amount=amount) for hour, amount in enumerate(amounts)]

    result = new_pipeline(model).run(batch(*values), {PLACE: new_partition(model)})

    published = [json.loads(output.value or b"") for output in result.outputs]
    flagged = [score["score"] >= model.threshold for score in published]
    assert [score["flagged"] for score in published] == flagged
    assert 0 < result.parts[PLACE].flagged == sum(flagged) < len(flagged)


@pytest.mark.parametrize(
    ("key", "left"), [(b"596", b"596"), (b"k" * 2000, None)], ids=["key", "no key"]
)
def test_a_dead_letter_that_is_too_large_is_a_pointer(
    model: LoadedModel, key: bytes, left: bytes | None
) -> None:
    records = RecordBatch()
    append(records, key, b"x" * 2000, offset=7, timestamp_ms=FIRST_MS)
    pipeline = new_pipeline(model, max_message_bytes=1000)

    (output,) = pipeline.run(records, {PLACE: new_partition(model)}).outputs

    letter = parse_dead_letter(output.headers)
    assert (output.key, output.value) == (left, None)
    assert (letter.origin, letter.offset) == (PLACE, 7)
    assert (letter.payload_size, letter.payload_truncated) == (2000, True)


def test_a_dead_letter_that_fits_holds_the_record_as_it_came(
    model: LoadedModel,
) -> None:
    records = batch(b"x" * 2000)

    (output,) = new_pipeline(model).run(records, {PLACE: new_partition(model)}).outputs

    letter = parse_dead_letter(output.headers)
    assert (output.key, output.value) == (b"596", b"x" * 2000)
    assert not letter.payload_truncated


def test_timestamps_of_answers_and_of_scores_are_told(model: LoadedModel) -> None:
    records = batch(hourly(0), BROKEN, hourly(2))

    result = new_pipeline(model).run(
        records, {PLACE: new_partition(model, live_from=1)}
    )

    part = result.parts[PLACE]
    stamps = np.array(records.timestamps_ms)
    assert part.timestamps_ms.tolist() == stamps[1:].tolist()
    assert part.scored_timestamps_ms.tolist() == [stamps[2]]


def test_every_step_is_timed(model: LoadedModel) -> None:
    result = new_pipeline(model).run(batch(hourly(0)), {PLACE: new_partition(model)})

    assert tuple(result.stage_seconds) == STEPS
    assert all(seconds > 0 for seconds in result.stage_seconds.values())


def test_what_remains_of_a_result_is_that_of_the_partitions_kept(
    model: LoadedModel,
) -> None:
    records = batch(hourly(0), BROKEN)
    add(records, 4, hourly(4), OTHER)
    partitions = {PLACE: new_partition(model), OTHER: new_partition(model, OTHER)}
    result = new_pipeline(model).run(records, partitions)

    kept = result.only([OTHER])

    assert answered(kept.outputs) == [(1, 4, "score")]
    assert list(kept.next_offsets) == [OTHER]
    assert kept.rejected == {}
    assert result.consumed == 3
