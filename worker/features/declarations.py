"""The parts of a spec as values: entities and the kinds of feature.

Knows neither TOML nor data.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


class Statistic(enum.StrEnum):
    """What a window is reduced to.

    In event-time order `COUNT` to `MAX` cost O(1) amortised; `DISTINCT` reads the
    window. `LAST` and `SECONDS_SINCE_LAST` speak of the events before the current
    one. From `FRAUD_COUNT` on they speak of what labels have confirmed: the newest
    event's label, the newest fraud, the frauds since the newest genuine event and the
    first of those.
    """

    COUNT = "count"
    SUM = "sum"
    MEAN = "mean"
    STD = "std"
    MIN = "min"
    MAX = "max"
    DISTINCT = "distinct"
    LAST = "last"
    SECONDS_SINCE_LAST = "seconds_since_last"
    FRAUD_COUNT = "fraud_count"
    FRAUD_RATE = "fraud_rate"
    LAST_LABEL = "last_label"
    SECONDS_SINCE_FRAUD = "seconds_since_fraud"
    FRAUD_STREAK = "fraud_streak"
    FRAUD_STREAK_SECONDS = "fraud_streak_seconds"

    @property
    def needs_labels(self) -> bool:
        """Whether it speaks of what labels have confirmed."""
        return self in _OF_LABELS


_OF_LABELS = {
    Statistic.FRAUD_COUNT,
    Statistic.FRAUD_RATE,
    Statistic.LAST_LABEL,
    Statistic.SECONDS_SINCE_FRAUD,
    Statistic.FRAUD_STREAK,
    Statistic.FRAUD_STREAK_SECONDS,
}


class CalendarPart(enum.StrEnum):
    """A part of the event's local time. Monday is weekday 0; night is hours 0 to 6."""

    HOUR = "hour"
    WEEKDAY = "weekday"
    WEEKEND = "weekend"
    NIGHT = "night"
    DAY_OF_MONTH = "day_of_month"
    MONTH = "month"


class Operation(enum.StrEnum):
    """How a derived feature is made of earlier ones."""

    RATIO = "ratio"
    DIFFERENCE = "difference"
    SHRUNK_MEAN = "shrunk_mean"
    CONDITION = "condition"


class Comparison(enum.StrEnum):
    """When a condition holds; a missing value never satisfies one."""

    ABOVE = "above"
    AT_LEAST = "at_least"
    BELOW = "below"
    AT_MOST = "at_most"
    EQUALS = "equals"


@dataclass(frozen=True, slots=True)
class Entity:
    """Whose history is remembered: a name, and the field that identifies it."""

    name: str
    key: str


@dataclass(frozen=True, slots=True)
class EventFeature:
    """A field of the event itself: clipped, then rounded to a multiple, then log1p."""

    name: str
    field: str
    clip: tuple[float, float] | None = None
    round_to: float | None = None
    log: bool = False
    output: bool = True


@dataclass(frozen=True, slots=True)
class CalendarFeature:
    """A part of the event time in the spec's time zone."""

    name: str
    part: CalendarPart
    output: bool = True


@dataclass(frozen=True, slots=True)
class CategoryFeature:
    """The code of a text, or of an integer that is a name, by a learnt vocabulary.

    `max_values` is the most that training puts into the vocabulary, the most frequent
    first; `vocabulary` is None until it has.
    """

    name: str
    field: str
    max_values: int = 100
    vocabulary: tuple[str, ...] | None = None
    output: bool = True


@dataclass(frozen=True, slots=True)
class DistanceFeature:
    """Kilometres between two places on the globe, at declared decimals.

    `places` names four fields in degrees: latitude and longitude, twice.
    """

    name: str
    places: tuple[str, ...]
    decimals: int
    output: bool = True


@dataclass(frozen=True, slots=True)
class AgeFeature:
    """Completed years from a date to the event, on the calendar of the spec's zone."""

    name: str
    field: str
    output: bool = True


@dataclass(frozen=True, slots=True)
class WindowFeature:
    """A statistic over the events of one entity in (t - delay - window, t - delay].

    `of` names a field, or an earlier feature that declares decimals; `where` names an
    earlier condition. `empty` is the value of a window without values (count, sum
    and distinct are 0 by nature; None stands for missing).
    """

    name: str
    entity: str
    statistic: Statistic
    window_ms: int
    of: str | None = None
    where: str | None = None
    delay_ms: int = 0
    include_current: bool = True
    empty: float | None = None
    output: bool = True

    @property
    def span_ms(self) -> int:
        """How far back from the event the window reaches."""
        return self.window_ms + self.delay_ms


@dataclass(frozen=True, slots=True)
class DerivedFeature:
    """A number or a condition made of earlier features of the same event.

    A shrunk mean is that of a mean and its count, as if `strength` more events of the
    value `prior` had been seen. What is no condition is clipped, then rounded to a
    multiple; with `decimals` it is rounded to that many and may feed a window.
    """

    name: str
    operation: Operation
    inputs: tuple[str, ...]
    comparison: Comparison | None = None
    threshold: float | None = None
    prior: float | None = None
    strength: float | None = None
    clip: tuple[float, float] | None = None
    round_to: float | None = None
    decimals: int | None = None
    output: bool = True


#: What needs nothing but the event.
EventLevelFeature = (
    EventFeature | CalendarFeature | CategoryFeature | DistanceFeature | AgeFeature
)
#: What may feed a window: it is an integer at its declared decimals.
MeasurableFeature = DistanceFeature | DerivedFeature
Feature = EventLevelFeature | WindowFeature | DerivedFeature

_KINDS: Mapping[type[Feature], str] = MappingProxyType(
    {
        EventFeature: "field",
        CalendarFeature: "calendar",
        CategoryFeature: "category",
        DistanceFeature: "distance",
        AgeFeature: "age",
        WindowFeature: "window",
        DerivedFeature: "derived",
    }
)


def kind_of(feature: Feature) -> str:
    """Return what a feature is made of, in a word of a closed set."""
    return _KINDS[type(feature)]
