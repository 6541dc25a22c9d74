"""A slow, obvious transform: each row is recomputed from the whole log.

Shares nothing with `worker.features` but the declarations of a spec. It follows
design: row i sees itself and the events before it in the log that were remembered,
as far as they lie in the window and are not yet expired.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from worker.features import Spec
from worker.features.declarations import (
    AgeFeature,
    CalendarFeature,
    CalendarPart,
    CategoryFeature,
    Comparison,
    DerivedFeature,
    DistanceFeature,
    EventFeature,
    EventLevelFeature,
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
    keys: dict[str, str]
    fields: dict[str, object]
    late: bool = False
    repeats: dict[str, bool] = dataclasses.field(default_factory=dict)
    watermark_ms: int = 0


@dataclass(frozen=True)
class Label:
    """A label in the log: whose it is, what it says, how many events precede it."""

    identity: str
    time_ms: int
    key: str
    fraud: bool
    label_time_ms: int
    before: int


@dataclass(frozen=True)
class OracleRows:
    """What `FeatureRows` holds, computed from scratch."""

    X: NDArray[np.float64]
    late: list[bool]
    duplicate: list[bool]


def oracle_rows(
    spec: Spec, batch: EventBatch, labels: Sequence[Label] = ()
) -> OracleRows:
    """Recompute every row of a log, with the labels of its last entity."""
    log = _events(spec, batch)
    _decide(spec, log)
    features: list[dict[str, Value]] = []
    for i in range(len(log)):
        row: dict[str, Value] = {}
        features.append(row)
        for feature in spec.features:
            row[feature.name] = _value(spec, feature, log, features, i, labels)
    X = np.array(
        [
            [math.nan if (v := row[name]) is None else v for name in spec.feature_names]
            for row in features
        ],
        np.float64,
    ).reshape(len(log), len(spec.feature_names))
    last = spec.entities[-1].name
    return OracleRows(X, [e.late for e in log], [e.repeats[last] for e in log])


def _events(spec: Spec, batch: EventBatch) -> list[Event]:
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
        keys = {entity.name: str(fields[entity.key]) for entity in spec.entities}
        events.append(Event(identity, time_ms, keys, fields))
    return events


def _decide(spec: Spec, log: Sequence[Event]) -> None:
    """Late and duplicate, in log order."""
    watermark_ms = -(2**63)
    for i, event in enumerate(log):
        watermark_ms = max(watermark_ms, event.time_ms)
        event.watermark_ms = watermark_ms
        event.late = event.time_ms < watermark_ms - spec.allowed_lateness_ms
        for entity in spec.entities:
            event.repeats[entity.name] = any(
                _is_same(other, event)
                for other in _remembered(spec, log, i, entity.name)
            )


def _reach_ms(spec: Spec, entity: str) -> int:
    spans = [
        feature.span_ms
        for feature in spec.features
        if isinstance(feature, WindowFeature) and feature.entity == entity
    ]
    return max(spans, default=0)


def _remembered(spec: Spec, log: Sequence[Event], i: int, entity: str) -> list[Event]:
    """Events of the same key before row i that were stored and are not expired."""
    floor = log[i].watermark_ms - _reach_ms(spec, entity) - spec.allowed_lateness_ms
    return [
        other
        for other in log[:i]
        if other.keys[entity] == log[i].keys[entity]
        and not other.late
        and not other.repeats[entity]
        and other.time_ms > floor
    ]


def _value(
    spec: Spec,
    feature: Feature,
    log: Sequence[Event],
    features: Sequence[dict[str, Value]],
    i: int,
    labels: Sequence[Label],
) -> Value:
    if isinstance(feature, DerivedFeature):
        return _derived_value(feature, features[i])
    if not isinstance(feature, WindowFeature):
        return _event_level_value(spec, feature, log[i])
    if feature.statistic.needs_labels:
        return _label_value(spec, feature, log, features, i, labels)
    return _window_value(spec, feature, log, features, i)


def _event_level_value(spec: Spec, feature: EventLevelFeature, event: Event) -> Value:
    if isinstance(feature, EventFeature):
        return _event_value(spec, feature, event)
    if isinstance(feature, CalendarFeature):
        return _calendar_value(spec, feature, event)
    if isinstance(feature, CategoryFeature):
        return _category_value(feature, event)
    if isinstance(feature, DistanceFeature):
        return _distance_value(spec, feature, event)
    return _age_value(spec, feature, event)


def _event_value(spec: Spec, feature: EventFeature, event: Event) -> Value:
    raw = event.fields[feature.field]
    if raw is None:
        return None
    field = spec.schema.field(feature.field)
    assert isinstance(raw, int)
    value = raw / 10 ** (field.decimals if field.type == "decimal" else 0)
    value = _coarser(feature, value)
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


def _category_value(feature: CategoryFeature, event: Event) -> Value:
    value = event.fields[feature.field]
    assert feature.vocabulary is not None
    if value is None:
        return None
    known = [code for code, one in enumerate(feature.vocabulary) if one == str(value)]
    return float([*known, len(feature.vocabulary)][0])


def _distance_value(spec: Spec, feature: DistanceFeature, event: Event) -> Value:
    """By the angle between two vectors, which is another formula."""
    degrees = []
    for name in feature.places:
        raw = event.fields[name]
        if raw is None:
            return None
        assert isinstance(raw, int)
        degrees.append(raw / 10 ** spec.schema.field(name).decimals)
    one, other = _on_globe(*degrees[:2]), _on_globe(*degrees[2:])
    angle = math.atan2(np.linalg.norm(np.cross(one, other)), np.dot(one, other))
    return round(6371.0088 * angle, feature.decimals)


def _on_globe(latitude: float, longitude: float) -> tuple[float, float, float]:
    north, east = math.radians(latitude), math.radians(longitude)
    return (
        math.cos(north) * math.cos(east),
        math.cos(north) * math.sin(east),
        math.sin(north),
    )


def _age_value(spec: Spec, feature: AgeFeature, event: Event) -> Value:
    raw = event.fields[feature.field]
    if raw is None:
        return None
    assert isinstance(raw, int)
    born = date(1970, 1, 1) + timedelta(days=raw)
    moment = datetime.fromtimestamp(event.time_ms / 1000, ZoneInfo(spec.time_zone))
    had_birthday = (moment.month, moment.day) >= (born.month, born.day)
    years = moment.year - born.year - (not had_birthday)
    return float(years) if years >= 0 else None


def _derived_value(feature: DerivedFeature, row: dict[str, Value]) -> Value:
    values = [row[name] for name in feature.inputs]
    if feature.operation is Operation.CONDITION:
        return float(values[0] is not None and _holds(feature, values[0]))
    first, second = values
    if feature.operation is Operation.SHRUNK_MEAN:
        return _shrunk(feature, first, second)
    if first is None or second is None:
        return None
    if feature.operation is Operation.RATIO:
        if second == 0:
            return None
        value = first / second
    else:
        value = first - second
    value = _coarser(feature, value)
    if feature.decimals is None:
        return value
    scale = 10.0**feature.decimals
    return min(max(round(value * scale), -MAX_MAGNITUDE), MAX_MAGNITUDE) / scale


def _shrunk(feature: DerivedFeature, mean: Value, count: Value) -> Value:
    assert feature.prior is not None
    assert feature.strength is not None
    assert count is not None
    if count == 0:
        return feature.prior * feature.strength / feature.strength
    assert mean is not None
    total = mean * count + feature.prior * feature.strength
    return _coarser(feature, total / (count + feature.strength))


def _coarser(feature: EventFeature | DerivedFeature, value: float) -> float:
    if feature.clip is not None:
        value = min(max(value, feature.clip[0]), feature.clip[1])
    if feature.round_to is not None:
        value = round(value / feature.round_to) * feature.round_to
    return value


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
    seen = _remembered(spec, log, i, feature.entity)
    is_repeat = now.repeats[feature.entity]
    original = next((e for e in seen if is_repeat and _is_same(e, now)), None)
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


def _label_value(
    spec: Spec,
    feature: WindowFeature,
    log: Sequence[Event],
    features: Sequence[dict[str, Value]],
    i: int,
    labels: Sequence[Label],
) -> Value:
    """A statistic over the labels that row i may know, oldest event first."""
    now = log[i]
    rows = {id(event): features[at] for at, event in enumerate(log[: i + 1])}
    until = now.time_ms - feature.delay_ms
    window = [
        event
        for event in _remembered(spec, log, i, feature.entity)
        if until - feature.window_ms < event.time_ms <= until
        and (feature.where is None or rows[id(event)][feature.where] == 1.0)
    ]
    window.sort(key=lambda event: event.time_ms)
    frauds = [_is_fraud(feature.entity, event, now, i, labels) for event in window]
    last_genuine = max((p for p, f in enumerate(frauds) if not f), default=-1)
    streak = window[last_genuine + 1 :]
    confirmed = [event for event, fraud in zip(window, frauds, strict=True) if fraud]

    def seconds_since(events: Sequence[Event], p: int) -> Value:
        return (now.time_ms - events[p].time_ms) / 1000 if events else feature.empty

    values: dict[Statistic, Value] = {
        Statistic.FRAUD_COUNT: float(len(confirmed)),
        Statistic.FRAUD_STREAK: float(len(streak)),
        Statistic.FRAUD_RATE: (
            len(confirmed) / len(frauds) if frauds else feature.empty
        ),
        Statistic.LAST_LABEL: float(frauds[-1]) if frauds else feature.empty,
        Statistic.FRAUD_STREAK_SECONDS: seconds_since(streak, 0),
        Statistic.SECONDS_SINCE_FRAUD: seconds_since(confirmed, -1),
    }
    return values[feature.statistic]


def _is_fraud(
    entity: str, event: Event, now: Event, i: int, labels: Sequence[Label]
) -> bool:
    """The last label that stands before row i in the log decides, once it is known."""
    own = [
        label
        for label in labels
        if label.before <= i
        and (label.identity, label.time_ms) == (event.identity, event.time_ms)
        and label.key == event.keys[entity]
    ]
    return bool(own) and own[-1].fraud and own[-1].label_time_ms <= now.time_ms


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
        if earlier.name == feature.of and isinstance(
            earlier, DerivedFeature | DistanceFeature
        ):
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
