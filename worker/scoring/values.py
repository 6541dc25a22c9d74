"""Values of features as an analyst would write them.

Owns how a number is written, of the reasons on a score. Says nothing that the spec does
not say: what was limited or rounded on the way is written as such.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from worker.features import Spec
from worker.features.declarations import (
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
UNITS = (
    ("day", 86_400_000),
    ("hour", 3_600_000),
    ("minute", 60_000),
    ("second", 1000),
)

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

_WHOLE = (Statistic.COUNT, Statistic.DISTINCT, "fraud_count", "fraud_streak")

_SECONDS = (
    Statistic.SECONDS_SINCE_LAST,
    "seconds_since_fraud",
    "fraud_streak_seconds",
)

Write = Callable[[float], str]


def writer(feature: Feature, spec: Spec) -> Write:
    """Return what writes a feature's values, "none" where one is missing.

    A value at a limit is written as one that may lie beyond it, a rounded one as near
    it. Nothing lies below zero.
    """
    exact = _writer(feature, spec)
    clip, round_to = (getattr(feature, name, None) for name in ("clip", "round_to"))
    least, greatest = clip or (-math.inf, math.inf)
    if getattr(feature, "log", False):  # whose limits are those of what it is taken of
        least, greatest, round_to = -math.inf, math.inf, None
    is_exact = round_to is None

    def write(value: float) -> str:
        if math.isnan(value):
            return "none"
        if value >= greatest:
            return f"{exact(value)} or more"
        if value <= least and least != 0:
            return f"{exact(value)} or less"
        return exact(value) if is_exact else f"about {exact(value)}"

    return write


def about(seconds: float) -> str:
    """Write a time that has passed, in the largest unit of which it is at least two.

    >>> about(3.0), about(200.0), about(100_000.0)
    ('3 seconds', '3.3 minutes', '27.8 hours')
    """
    for name, unit in UNITS:
        count = seconds * 1000 / unit
        if count >= 2:
            return f"{count:.1f}".removesuffix(".0") + f" {name}s"
    return f"{seconds:g} seconds"


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


_WRITERS: Mapping[type, Callable[[Any, Spec], Write]] = {
    EventFeature: _event_writer,
    CalendarFeature: _calendar_writer,
    CategoryFeature: _category_writer,
    DistanceFeature: _distance_writer,
    WindowFeature: _window_writer,
    DerivedFeature: _derived_writer,
}
