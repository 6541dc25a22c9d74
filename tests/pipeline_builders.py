"""A pipeline around a small model, payments for it, and its answers at a glance."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tests.streams import FIRST_MS, MAX_MESSAGE_BYTES, PLACE
from worker.codec import parse_origin
from worker.pipeline import (
    PartitionState,
    Pipeline,
    TopicNames,
    Topology,
    build_stages,
)
from worker.records import Output, TopicPartition
from worker.recovery import CommitMetadata
from worker.scoring import LoadedModel

DAY_MS = 86_400_000


def new_pipeline(
    model: LoadedModel, *, max_message_bytes: int = MAX_MESSAGE_BYTES
) -> Pipeline:
    names = TopicNames(PLACE.topic, "labels", "scores", "dead-letters")
    stages = build_stages(
        model,
        Topology.of(model.spec, "group", names),
        threshold=model.threshold,
        app_version="0",
        max_message_bytes=max_message_bytes,
    )
    return Pipeline(stages)


def new_partition(
    model: LoadedModel,
    place: TopicPartition = PLACE,
    *,
    epoch: int = 1,
    live_from: int = 0,
    incomplete_until_ms: int | None = None,
) -> PartitionState:
    """A partition that has folded nothing, and remembers as the loop lets it."""
    return PartitionState(
        place,
        epoch=epoch,
        state=model.stages[0].new_state(max_keys=1000, max_events=10_000),
        live_from=live_from,
        incomplete_until_ms=incomplete_until_ms,
        remember=lambda watermark_ms: CommitMetadata(
            watermark_ms, 0, live_from, incomplete_until_ms
        ).encode(),
    )


def payment(**changes: Any) -> bytes:
    """A valid payment of customer 596 at `FIRST_MS`, with some fields replaced."""
    fields = {
        "transaction_id": "8412",
        "event_time": FIRST_MS,
        "customer_id": "596",
        "terminal_id": "3156",
        "amount": 57.16,
    }
    return json.dumps(fields | changes).encode()


def answered(outputs: Iterable[Output]) -> list[tuple[int, int, str]]:
    """Partition and offset of what each output answers, and how."""
    return [_answer(output) for output in outputs]


def flags(output: Output) -> list[str]:
    """The flags of a score."""
    assert output.value is not None
    found: list[str] = json.loads(output.value).get("flags", [])
    return found


def _answer(output: Output) -> tuple[int, int, str]:
    headers = dict(output.headers)
    if output.topic == "scores":
        origin = parse_origin(headers["origin"])
        return origin.partition, origin.offset, "score"
    partition = int(headers["dlq.origin.partition"])
    offset = int(headers["dlq.origin.offset"])
    return partition, offset, headers["dlq.reason"].decode()
