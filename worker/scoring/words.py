"""Features in words that an analyst understands.

Owns the wording: brief of the reasons on a score, whole of the card of a bundle. Says
nothing that the spec does not say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
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
from worker.scoring.values import UNITS

_CALENDAR = {
    CalendarPart.HOUR: "hour of the day",
    CalendarPart.WEEKDAY: "day of the week",
    CalendarPart.WEEKEND: "weekend",
    CalendarPart.NIGHT: "night, from 0 to 6 o'clock",
    CalendarPart.DAY_OF_MONTH: "day of the month",
    CalendarPart.MONTH: "month",
}

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


def phrase(feature: Feature, spec: Spec) -> str:
    """Say in words what a feature is, whole.

    A feature that is made of others is put into words together with them. A kind that
    has no words here goes by its name.
    """
    in_words = _PHRASES.get(type(feature))
    return in_words(feature, spec) if in_words else _plain(feature.name)


def brief_phrase(feature: Feature, spec: Spec) -> str:
    """Say it in the words that stand before a value.

    How the value was limited or rounded, the value itself shows; what a condition is
    about goes by the name that the spec gives to it.
    """
    in_words = _BRIEF_PHRASES.get(type(feature), phrase)
    return in_words(feature, spec)


def duration(ms: int) -> str:
    """Write a span of time in its largest unit that divides it.

    >>> duration(604_800_000), duration(5_400_000), duration(0)
    ('7 days', '90 minutes', 'no time')
    """
    for name, unit in UNITS:
        if ms and ms % unit == 0:
            return f"{ms // unit} {name}{'s' * (ms != unit)}"
    return f"{ms} milliseconds" if ms else "no time"


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
        return f"{first} is {_compared(feature)}"
    word = _JOINED.get(feature.operation)
    made = f"{first} {word} the {rest[0]}" if word else first
    return ", ".join([made, *_coarseness(feature)])


def _compared(feature: DerivedFeature) -> str:
    assert feature.comparison is not None
    words = feature.comparison.replace("_", " ").replace("equals", "equal to")
    return f"{words} {feature.threshold:g}"


def _brief_event(feature: EventFeature, _: Spec) -> str:
    words = _plain(feature.field)
    return f"{words}, as the logarithm of 1 + x" if feature.log else words


def _brief_window(feature: WindowFeature, spec: Spec) -> str:
    whole = replace(feature, where=None)
    words = _window_phrase(whole, spec).removeprefix("number of ")
    words = words.replace(" that ended ", " until ")
    for condition in spec.features:
        if condition.name == feature.where is not None:
            words += f", where {_brief_derived(condition, spec)}"
    return words


def _brief_derived(feature: Any, spec: Spec) -> str:
    if feature.operation is not Operation.CONDITION:
        return _derived_phrase(replace(feature, clip=None, round_to=None), spec)
    return f"{_plain(feature.inputs[0])} is {_compared(feature)}"


def _named(name: str | None, spec: Spec) -> str:
    """Put what a feature is made of into words: an earlier feature, or a field."""
    for feature in spec.features:
        if feature.name == name:
            return phrase(feature, spec)
    return _plain(name or "")


def _plain(name: str) -> str:
    return name.replace("_", " ")


_PHRASES: Mapping[type, Callable[[Any, Spec], str]] = {
    EventFeature: _event_phrase,
    CalendarFeature: _calendar_phrase,
    CategoryFeature: _category_phrase,
    DistanceFeature: _distance_phrase,
    AgeFeature: _age_phrase,
    WindowFeature: _window_phrase,
    DerivedFeature: _derived_phrase,
}

_BRIEF_PHRASES: Mapping[type, Callable[[Any, Spec], str]] = {
    EventFeature: _brief_event,
    WindowFeature: _brief_window,
    DerivedFeature: _brief_derived,
}
