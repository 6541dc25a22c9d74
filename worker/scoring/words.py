"""Features and their values in words that an analyst understands.

Owns the wording, of the reasons on a score and of the card of a bundle. Says nothing
that the spec does not say, and no payload beyond a feature's value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from worker.features import Spec
from worker.features.declarations import (
    AgeFeature,
    CalendarFeature,
    CalendarPart,
    CategoryFeature,
    DerivedFeature,
    DistanceFeature,
    EventFeature,
    Feature,
    Operation,
    Statistic,
    WindowFeature,
)

#: Milliseconds of the units that a span is written in, largest first.
_UNITS = (
    ("day", 86_400_000),
    ("hour", 3_600_000),
    ("minute", 60_000),
    ("second", 1000),
)

_CALENDAR = {
    CalendarPart.HOUR: "hour of the day",
    CalendarPart.WEEKDAY: "day of the week",
    CalendarPart.WEEKEND: "weekend",
    CalendarPart.NIGHT: "night, from 0 to 6 o'clock",
    CalendarPart.DAY_OF_MONTH: "day of the month",
    CalendarPart.MONTH: "month",
}

_WEEKDAYS = (
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
)

_YES_OR_NO = (CalendarPart.WEEKEND, CalendarPart.NIGHT)

#: By name, so that a statistic without words goes by its own.
_STATISTICS: Mapping[str, str] = {
    Statistic.COUNT: "number of transactions",
    Statistic.SUM: "sum of the {of}",
    Statistic.MEAN: "mean {of}",
    Statistic.STD: "standard deviation of the {of}",
    Statistic.MIN: "least {of}",
    Statistic.MAX: "greatest {of}",
    Statistic.DISTINCT: "number of different values of {of}",
    Statistic.LAST: "last {of} before this one",
    Statistic.SECONDS_SINCE_LAST: "time since the last transaction",
    "fraud_count": "number of confirmed frauds",
    "fraud_rate": "share of confirmed frauds",
    "last_label": "newest known transaction was a fraud",
    "seconds_since_fraud": "time since the newest confirmed fraud",
    "fraud_streak": "number of confirmed frauds in a row",
    "fraud_streak_seconds": "time since confirmed frauds in a row began",
}

#: An operation that is not here makes a number that still means its first input.
_JOINED: Mapping[str, str] = {
    Operation.RATIO: "divided by",
    Operation.DIFFERENCE: "minus",
}

_BEFORE = (Statistic.LAST, Statistic.SECONDS_SINCE_LAST)

_WHOLE = (Statistic.COUNT, Statistic.DISTINCT, "fraud_count", "fraud_streak")

_SECONDS = (
    Statistic.SECONDS_SINCE_LAST,
    "seconds_since_fraud",
    "fraud_streak_seconds",
)

Write = Callable[[float], str]


def phrase(feature: Feature, spec: Spec) -> str:
    """Say in words what a feature is.

    A feature that is made of others is put into words together with them. A kind that
    has no words here goes by its name.
    """
    in_words = _PHRASES.get(type(feature))
    return in_words(feature, spec) if in_words else _plain(feature.name)


def writer(feature: Feature, spec: Spec) -> Write:
    """Return what writes a feature's values, "none" where one is missing."""
    write = _writer(feature, spec)
    return lambda value: "none" if math.isnan(value) else write(value)


def duration(ms: int) -> str:
    """Write a span of time in its largest unit that divides it.

    >>> duration(604_800_000), duration(5_400_000), duration(0)
    ('7 days', '90 minutes', 'no time')
    """
    for name, unit in _UNITS:
        if ms and ms % unit == 0:
            return f"{ms // unit} {name}{'s' * (ms != unit)}"
    return f"{ms} milliseconds" if ms else "no time"


def about(seconds: float) -> str:
    """Write a time that has passed, in the largest unit of which it is at least two.

    >>> about(3.0), about(200.0), about(100_000.0)
    ('3 seconds', '3.3 minutes', '27.8 hours')
    """
    for name, unit in _UNITS:
        count = seconds * 1000 / unit
        if count >= 2:
            return f"{count:.1f}".removesuffix(".0") + f" {name}s"
    return f"{seconds:g} seconds"


def _calendar_phrase(feature: CalendarFeature, spec: Spec) -> str:
    return f"{_CALENDAR[feature.part]} ({spec.time_zone})"


def _category_phrase(feature: CategoryFeature, _: Spec) -> str:
    return _plain(feature.field)


def _distance_phrase(feature: DistanceFeature, _: Spec) -> str:
    return f"{_plain(feature.name)} in km"


def _age_phrase(feature: AgeFeature, _: Spec) -> str:
    return f"years since {_plain(feature.field)}"


def _event_phrase(feature: EventFeature, _: Spec) -> str:
    steps = [_plain(feature.field), *_coarseness(feature)]
    if feature.log:
        steps.append("as the logarithm of 1 + x")
    return ", ".join(steps)


def _coarseness(feature: Any) -> Iterator[str]:
    """Yield how a value was made coarser, where its kind of feature can be."""
    clip, round_to = (getattr(feature, n, None) for n in ("clip", "round_to"))
    if clip is not None:
        yield f"limited to {clip[0]:g} to {clip[1]:g}"
    if round_to is not None:
        yield f"rounded to multiples of {round_to:g}"


def _window_phrase(feature: WindowFeature, spec: Spec) -> str:
    words = _STATISTICS.get(feature.statistic, _plain(feature.statistic))
    words = words.format(of=_named(feature.of, spec))
    if feature.statistic is Statistic.COUNT and feature.of is not None:
        words += f" with a value of {_named(feature.of, spec)}"
    words += f" of this {_plain(feature.entity)} in {duration(feature.window_ms)}"
    if feature.delay_ms:
        words += f" that ended {duration(feature.delay_ms)} ago"
    elif not feature.include_current and feature.statistic not in _BEFORE:
        words += " before this one"
    if feature.where is not None:
        words += f", where {_named(feature.where, spec)}"
    return words


def _derived_phrase(feature: DerivedFeature, spec: Spec) -> str:
    first, *rest = (_named(name, spec) for name in feature.inputs)
    if feature.operation is Operation.CONDITION:
        assert feature.comparison is not None
        words = feature.comparison.replace("_", " ").replace("equals", "equal to")
        return f"{first} is {words} {feature.threshold:g}"
    word = _JOINED.get(feature.operation)
    made = f"{first} {word} the {rest[0]}" if word else first
    return ", ".join([made, *_coarseness(feature)])


def _named(name: str | None, spec: Spec) -> str:
    """Put what a feature is made of into words: an earlier feature, or a field."""
    for feature in spec.features:
        if feature.name == name:
            return phrase(feature, spec)
    return _plain(name or "")


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _writer(feature: Feature, spec: Spec) -> Write:
    writer_of = _WRITERS.get(type(feature))
    return writer_of(feature, spec) if writer_of else _short


def _event_writer(feature: EventFeature, spec: Spec) -> Write:
    return _short if feature.log else _decimals_writer(feature.field, spec)


def _category_writer(feature: CategoryFeature, _: Spec) -> Write:
    names = dict(enumerate(feature.vocabulary or ()))
    return lambda value: names.get(int(value), "unknown")


def _distance_writer(feature: DistanceFeature, _: Spec) -> Write:
    return f"{{:,.{feature.decimals}f}}".format


def _derived_writer(feature: DerivedFeature, _: Spec) -> Write:
    return _yes_or_no if feature.operation is Operation.CONDITION else _short


def _window_writer(feature: WindowFeature, spec: Spec) -> Write:
    if feature.statistic in _WHOLE:
        return "{:,.0f}".format
    if feature.statistic in _SECONDS:
        return about
    if feature.statistic == "last_label":
        return _yes_or_no
    return _decimals_writer(feature.of, spec)


def _calendar_writer(feature: CalendarFeature, _: Spec) -> Write:
    part = feature.part
    if part is CalendarPart.WEEKDAY:
        names = dict(enumerate(_WEEKDAYS))
        return lambda value: names.get(int(value), _short(value))
    return _yes_or_no if part in _YES_OR_NO else "{:.0f}".format


def _decimals_writer(name: str | None, spec: Spec) -> Write:
    """Write as many decimals as the field has; what is no field gets what it needs."""
    for field in spec.schema.fields:
        if field.name == name and field.type == "decimal":
            return f"{{:,.{field.decimals}f}}".format
    return _short


def _yes_or_no(value: float) -> str:
    return "yes" if value else "no"


def _short(value: float) -> str:
    return f"{value:,.4g}"


_PHRASES: Mapping[type, Callable[[Any, Spec], str]] = {
    EventFeature: _event_phrase,
    CalendarFeature: _calendar_phrase,
    CategoryFeature: _category_phrase,
    DistanceFeature: _distance_phrase,
    AgeFeature: _age_phrase,
    WindowFeature: _window_phrase,
    DerivedFeature: _derived_phrase,
}

_WRITERS: Mapping[type, Callable[[Any, Spec], Write]] = {
    EventFeature: _event_writer,
    CalendarFeature: _calendar_writer,
    CategoryFeature: _category_writer,
    DistanceFeature: _distance_writer,
    WindowFeature: _window_writer,
    DerivedFeature: _derived_writer,
}
