"""A slow, obvious transform: each row is recomputed from the whole log.

Shares nothing with `worker.features` but the declarations of a spec. It follows
design: row i sees itself and the events before it in the log that were remembered,
as far as they lie in the window and are not yet expired.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from worker.features import Spec
from worker.features.declarations import (
    CalendarFeature,
    CalendarPart,
    Comparison,
    DerivedFeature,
    EventFeature,
    Feature,
    Operation,
    Statistic,
    WindowFeature,
)
from worker.records import MAX_MAGNITUDE, MISSING, EventBatch

Value = float | None


@dataclass
class Event:
    """One event of the log, and what was decided about it."""

    identity: str
    time_ms: int
    key: str
    fields: dict[str, object]
    late: bool = False
    duplicate: bool = False
    watermark_ms: int = 0


@dataclass(frozen=True)
class OracleRows:
    """What `FeatureRows` holds, computed from scratch."""

    X: NDArray[np.float64]
    late: list[bool]
    duplicate: list[bool]


def oracle_rows(spec: Spec, batch: EventBatch) -> OracleRows:
    """Recompute every row of a log."""
    log = _events(spec, batch)
    _decide(spec, log)
    features: list[dict[str, Value]] = []
    for i in range(len(log)):
        row: dict[str, Value] = {}
        features.append(row)
        for feature in spec.features:
            row[feature.name] = _value(spec, feature, log, features, i)
    X = np.array(
        [
            [math.nan if (v := row[name]) is None else v for name in spec.feature_names]
            for row in features
        ],
        np.float64,
    ).reshape(len(log), len(spec.feature_names))
    return OracleRows(X, [e.late for e in log], [e.duplicate for e in log])


def _events(spec: Spec, batch: EventBatch) -> list[Event]:
    key = spec.entities[0].key
    columns = {
        name: column.tolist() if isinstance(column, np.ndarray) else column
        for name, column in batch.columns.items()
    }
    events = []
    for i, identity in enumerate(batch.transaction_ids):
        fields = {
            name: None if column[i] == MISSING else column[i]
            for name, column in columns.items()
        }
        time_ms = int(batch.event_time_ms[i])
        events.append(Event(identity, time_ms, str(fields[key]), fields))
    return events


def _decide(spec: Spec, log: Sequence[Event]) -> None:
    """Late and duplicate, in log order."""
    watermark_ms = -(2**63)
    for i, event in enumerate(log):
        watermark_ms = max(watermark_ms, event.time_ms)
        event.watermark_ms = watermark_ms
        event.late = event.time_ms < watermark_ms - spec.allowed_lateness_ms
        event.duplicate = any(
            other.identity == event.identity and other.time_ms == event.time_ms
            for other in _remembered(spec, log, i)
        )


def _reach_ms(spec: Spec) -> int:
    spans = [f.span_ms for f in spec.features if isinstance(f, WindowFeature)]
    return max(spans, default=0)


def _remembered(spec: Spec, log: Sequence[Event], i: int) -> list[Event]:
    """Events of the same key before row i that were stored and are not expired."""
    floor = log[i].watermark_ms - _reach_ms(spec) - spec.allowed_lateness_ms
    return [
        other
        for other in log[:i]
        if other.key == log[i].key
        and not other.late
        and not other.duplicate
        and other.time_ms > floor
    ]


def _value(
    spec: Spec,
    feature: Feature,
    log: Sequence[Event],
    features: Sequence[dict[str, Value]],
    i: int,
) -> Value:
    if isinstance(feature, EventFeature):
        return _event_value(spec, feature, log[i])
    if isinstance(feature, CalendarFeature):
        return _calendar_value(spec, feature, log[i])
    if isinstance(feature, DerivedFeature):
        return _derived_value(feature, features[i])
    return _window_value(spec, feature, log, features, i)


def _event_value(spec: Spec, feature: EventFeature, event: Event) -> Value:
    raw = event.fields[feature.field]
    if raw is None:
        return None
    field = spec.schema.field(feature.field)
    assert isinstance(raw, int)
    value = raw / 10 ** (field.decimals if field.type == "decimal" else 0)
    if feature.clip is not None:
        value = min(max(value, feature.clip[0]), feature.clip[1])
    if feature.round_to is not None:
        value = round(value / feature.round_to) * feature.round_to
    return float(np.round(np.log1p(max(value, 0.0)), 9)) if feature.log else value


def _calendar_value(spec: Spec, feature: CalendarFeature, event: Event) -> float:
    moment = datetime.fromtimestamp(event.time_ms / 1000, UTC)
    local = moment.astimezone(ZoneInfo(spec.time_zone))
    values = {
        CalendarPart.HOUR: local.hour,
        CalendarPart.WEEKDAY: local.weekday(),
        CalendarPart.WEEKEND: local.weekday() in (5, 6),
        CalendarPart.NIGHT: local.hour in range(7),
        CalendarPart.DAY_OF_MONTH: local.day,
        CalendarPart.MONTH: local.month,
    }
    return float(values[feature.part])


def _derived_value(feature: DerivedFeature, row: dict[str, Value]) -> Value:
    values = [row[name] for name in feature.inputs]
    if feature.operation is Operation.CONDITION:
        return float(values[0] is not None and _holds(feature, values[0]))
    first, second = values
    if first is None or second is None:
        return None
    if feature.operation is Operation.RATIO:
        if second == 0:
            return None
        value = first / second
    else:
        value = first - second
    if feature.decimals is None:
        return value
    scale = 10.0**feature.decimals
    return min(max(round(value * scale), -MAX_MAGNITUDE), MAX_MAGNITUDE) / scale


def _holds(feature: DerivedFeature, value: float) -> bool:
    assert feature.threshold is not None
    return {
        Comparison.ABOVE: value > feature.threshold,
        Comparison.AT_LEAST: value >= feature.threshold,
        Comparison.BELOW: value < feature.threshold,
        Comparison.AT_MOST: value <= feature.threshold,
        Comparison.EQUALS: value == feature.threshold,
    }[feature.comparison]  # type: ignore[index]  # a condition has a comparison


def _window_value(
    spec: Spec,
    feature: WindowFeature,
    log: Sequence[Event],
    features: Sequence[dict[str, Value]],
    i: int,
) -> Value:
    now = log[i]
    rows = {id(event): features[at] for at, event in enumerate(log[: i + 1])}
    seen = _remembered(spec, log, i)
    original = next((e for e in seen if now.duplicate and _is_same(e, now)), None)
    current = original or now
    if original is None:
        seen = [*seen, now]
    until = now.time_ms - feature.delay_ms
    window = [e for e in seen if until - feature.window_ms < e.time_ms <= until]
    previous = [e for e in window if e is not current]
    if feature.statistic in (Statistic.LAST, Statistic.SECONDS_SINCE_LAST):
        return _since(spec, feature, now, previous, rows)
    if not feature.include_current:
        window = previous
    measured = [_measure(spec, feature, event, rows) for event in window]
    return _reduced(spec, feature, [value for value in measured if value is not None])


def _is_same(event: Event, other: Event) -> bool:
    return (event.identity, event.time_ms) == (other.identity, other.time_ms)


def _since(
    spec: Spec,
    feature: WindowFeature,
    now: Event,
    previous: Sequence[Event],
    rows: dict[int, dict[str, Value]],
) -> Value:
    """`last`: the newest earlier event with a value; ties count in log order."""
    with_value = [e for e in previous if _measure(spec, feature, e, rows) is not None]
    if not with_value:
        return feature.empty
    newest = max(range(len(with_value)), key=lambda p: (with_value[p].time_ms, p))
    if feature.statistic is Statistic.SECONDS_SINCE_LAST:
        return (now.time_ms - with_value[newest].time_ms) / 1000
    value = _measure(spec, feature, with_value[newest], rows)
    assert isinstance(value, int)
    return value / _scale(spec, feature)


def _scale(spec: Spec, feature: WindowFeature) -> int:
    """What an integer of the measure is divided by."""
    for field in spec.schema.fields:
        if field.name == feature.of:
            return int(10 ** (field.decimals if field.type == "decimal" else 0))
    for earlier in spec.features:
        if earlier.name == feature.of and isinstance(earlier, DerivedFeature):
            return int(10 ** (earlier.decimals or 0))
    return 1


def _measure(
    spec: Spec, feature: WindowFeature, event: Event, rows: dict[int, dict[str, Value]]
) -> object:
    """The event's value: an integer or a text; None where it has none."""
    row = rows[id(event)]
    if feature.where is not None and row[feature.where] != 1.0:
        return None
    if feature.of is None:
        return 1
    if feature.of in event.fields:
        return event.fields[feature.of]
    value = row[feature.of]
    return None if value is None else round(value * _scale(spec, feature))


def _reduced(spec: Spec, feature: WindowFeature, values: Sequence[object]) -> Value:
    """Exact arithmetic with fractions, rounded once at the end."""
    if feature.statistic is Statistic.COUNT:
        return float(len(values))
    if feature.statistic is Statistic.DISTINCT:
        return float(len(set(values)))
    numbers = [Fraction(int(value)) for value in values]  # type: ignore[call-overload]
    if not numbers and feature.statistic is not Statistic.SUM:
        return feature.empty
    exact: dict[Statistic, Callable[[list[Fraction]], Any]] = {
        Statistic.SUM: sum,
        Statistic.MEAN: lambda all_: sum(all_) / len(all_),
        Statistic.MIN: min,
        Statistic.MAX: max,
        Statistic.STD: _deviation,
    }
    return float(Fraction(exact[feature.statistic](numbers)) / _scale(spec, feature))


def _deviation(numbers: Sequence[Fraction]) -> float:
    mean = sum(numbers) / len(numbers)
    return math.sqrt(sum((n - mean) ** 2 for n in numbers) / len(numbers))
