"""Schemas and records for the codec's tests, valid unless a test says otherwise."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from worker.codec import Decoder
from worker.records import Decoded, EventSchema, Field, Reason

#: 2018-07-25T00:00:31Z, the event time of `payload`.
EVENT_TIME_MS = 1_532_476_831_000

FIELDS = (
    Field("transaction_id", "text"),
    Field("event_time", "time"),
    Field("customer_id", "text", max_length=16),
    Field("terminal_id", "text", max_length=16),
    Field("amount", "decimal", decimals=2, minimum=0, maximum=1_000_000),
)

#: Left out of a payload.
ABSENT = object()


def schema(*more: Field, **changes: Any) -> EventSchema:
    """The Handbook's five fields, with some more, some replaced by their names."""
    fields = [replace(f, **changes.pop(f.name, {})) for f in FIELDS]
    return EventSchema(
        (*fields, *more),
        transaction_id="transaction_id",
        event_time="event_time",
        keys=("customer_id",),
        max_ahead_ms=changes.pop("max_ahead_ms", 300_000),
    )


def contents(**changes: Any) -> dict[str, Any]:
    """The fields of a valid transaction, some replaced or `ABSENT`."""
    fields = {
        "transaction_id": "8412",
        "event_time": "2018-07-25T00:00:31Z",
        "customer_id": "596",
        "terminal_id": "3156",
        "amount": 57.16,
    } | changes
    return {name: value for name, value in fields.items() if value is not ABSENT}


def payload(**changes: Any) -> bytes:
    return json.dumps(contents(**changes), ensure_ascii=False).encode()


def payload_with(name: str, json_text: str) -> bytes:
    """A valid transaction but for one field, whose JSON is given as it stands."""
    marker = "the place"
    return payload(**{name: marker}).replace(b'"the place"', json_text.encode())


def decode(
    *values: bytes | None,
    of: EventSchema | None = None,
    keys: Sequence[bytes | None] | None = None,
    timestamps_ms: Sequence[int] | None = None,
) -> Decoded:
    """Decode some records; keys are looked at only where a test gives them."""
    decoder = Decoder(of or schema(), key_is_entity=None if keys is None else 0)
    return decoder.decode(
        keys if keys is not None else [None] * len(values),
        list(values),
        timestamps_ms if timestamps_ms is not None else [-1] * len(values),
    )


def problem(value: bytes | None, **options: Any) -> tuple[Reason, str | None] | None:
    """Why one record is rejected, between two that are not; None if it is not."""
    if "keys" in options:
        options["keys"] = [b"596", *options["keys"], b"596"]
    if "timestamps_ms" in options:
        options["timestamps_ms"] = [-1, *options["timestamps_ms"], -1]
    good = options.pop("good", payload())
    decoded = decode(good, value, good, **options)
    assert [row for row in decoded.rows.tolist() if row != 1] == [0, 2]
    assert len(decoded.events) + len(decoded.rejections) == 3
    if not decoded.rejections:
        return None
    (rejection,) = decoded.rejections
    assert rejection.row == 1
    return rejection.reason, rejection.field


def column(name: str, value: bytes, of: EventSchema | None = None) -> Any:
    """What the events hold of a field of one valid record."""
    decoded = decode(value, of=of)
    assert list(decoded.rejections) == []
    found: Any = decoded.events.columns[name]
    return found[0] if isinstance(found, list) else int(found[0])
