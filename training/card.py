"""The card of a model: what it learnt from, how good it is, what it looks at.

Owns the words. Says nothing that the manifest and the spec do not know.
"""

from __future__ import annotations

import numpy as np

from worker.bundle import Manifest
from worker.codec import format_times
from worker.features import Spec
from worker.features.declarations import (
    CalendarFeature,
    CalendarPart,
    DerivedFeature,
    EventFeature,
    Feature,
    Operation,
    Statistic,
    WindowFeature,
)

#: Milliseconds of the units that a window is written in, largest first.
_UNITS = (
    ("day", 86_400_000),
    ("hour", 3_600_000),
    ("minute", 60_000),
    ("second", 1000),
)

_CALENDAR = {
    CalendarPart.HOUR: "hour of the day, 0 to 23",
    CalendarPart.WEEKDAY: "day of the week, Monday is 0",
    CalendarPart.WEEKEND: "1 on Saturday and Sunday, else 0",
    CalendarPart.NIGHT: "1 in the hours 0 to 6, else 0",
    CalendarPart.DAY_OF_MONTH: "day of the month",
    CalendarPart.MONTH: "month, 1 to 12",
}

_STATISTICS = {
    Statistic.COUNT: "number of transactions",
    Statistic.SUM: "sum of {of}",
    Statistic.MEAN: "mean {of}",
    Statistic.STD: "standard deviation of {of}",
    Statistic.MIN: "least {of}",
    Statistic.MAX: "greatest {of}",
    Statistic.DISTINCT: "number of different values of {of}",
    Statistic.LAST: "last {of} before this transaction",
    Statistic.SECONDS_SINCE_LAST: "seconds since the transaction before this one",
}


_MEASURED = "Measured when it was trained:"

_USE = """\
It gives each transaction of a stream a probability of fraud, from the transaction and
from what its {who} did before.
A person or a rule decides what happens to a flagged transaction."""

_THRESHOLD = """\
A transaction is flagged when its score, rounded to 9 digits, is at least {threshold!r}.
A lower threshold finds more frauds and raises more false alarms."""

_LIMITS = """\
- It knows the kinds of fraud that it was trained on; a new kind goes unseen until it
  is trained again.
- A {who} without transactions in the windows looks like a new one.
- Its memory reaches {horizon} back. Transactions more than {lateness} late are scored
  and not remembered.
- Scores put transactions in order. That a score of 0.2 means one fraud in five is
  not claimed."""


def write_card(manifest: Manifest, spec: Spec) -> str:
    """Return the card of a bundle as Markdown."""
    who = _entity(spec)
    sections = [
        f"# {manifest.spec} {manifest.version}",
        f"{manifest.model}, {len(spec.feature_names)} features per transaction.",
        "## Intended use",
        _USE.format(who=who),
        "## Data",
        _data(manifest),
        "## Quality",
        _metrics(manifest),
        "## Threshold",
        _THRESHOLD.format(threshold=manifest.threshold),
        "## Features",
        _features(spec),
        "## Limits",
        _LIMITS.format(
            who=who,
            horizon=duration(spec.horizon_ms),
            lateness=duration(spec.allowed_lateness_ms),
        ),
    ]
    return "\n\n".join(sections) + "\n"


def feature_sentence(feature: Feature, spec: Spec) -> str:
    """Say in a few words what a feature is."""
    if isinstance(feature, EventFeature):
        return _event_sentence(feature)
    if isinstance(feature, CalendarFeature):
        return f"{_CALENDAR[feature.part]} ({spec.time_zone})"
    if isinstance(feature, DerivedFeature):
        return _derived_sentence(feature)
    return _window_sentence(feature)


def _entity(spec: Spec) -> str:
    return " and the ".join(entity.name for entity in spec.entities)


def _data(manifest: Manifest) -> str:
    window = manifest.data_window
    first, last = format_times(np.array([window.first_ms, window.last_ms]))
    share = window.frauds / window.rows if window.rows else 0.0
    return (
        f"Trained on {window.rows:,} transactions from {first} to {last}, "
        f"of which {window.frauds:,} ({share:.3%}) were known to be frauds."
    )


def _features(spec: Spec) -> str:
    return "\n".join(
        f"- `{feature.name}`: {feature_sentence(feature, spec)}"
        for feature in spec.features
        if feature.output
    )


def _metrics(manifest: Manifest) -> str:
    if not manifest.metrics:
        return "Not measured."
    rows = [f"| {name} | {value:.6g} |" for name, value in manifest.metrics.items()]
    return "\n".join([_MEASURED, "", "| measure | value |", "|---|---|", *rows])


def _event_sentence(feature: EventFeature) -> str:
    steps = [f"the transaction's {feature.field}"]
    if feature.clip is not None:
        steps.append(f"limited to {feature.clip[0]:g} to {feature.clip[1]:g}")
    if feature.round_to is not None:
        steps.append(f"rounded to multiples of {feature.round_to:g}")
    if feature.log:
        steps.append("as the logarithm of 1 + x")
    return ", ".join(steps)


def _window_sentence(feature: WindowFeature) -> str:
    parts = [_STATISTICS[feature.statistic].format(of=_quoted(feature.of))]
    if feature.statistic is Statistic.COUNT and feature.of is not None:
        parts[0] += f" with {_quoted(feature.of)}"
    if feature.where is not None:
        parts.append(f"where {_quoted(feature.where)} holds")
    span = f"of the {feature.entity} in {duration(feature.window_ms)}"
    if feature.delay_ms:
        parts.append(f"{span} that ended {duration(feature.delay_ms)} ago")
    elif feature.include_current:
        parts.append(f"{span} up to and with this one")
    else:
        parts.append(f"{span} before this one")
    return " ".join(parts)


def _derived_sentence(feature: DerivedFeature) -> str:
    names = [_quoted(name) for name in feature.inputs]
    if feature.operation is Operation.RATIO:
        return f"{names[0]} divided by {names[1]}"
    if feature.operation is Operation.DIFFERENCE:
        return f"{names[0]} minus {names[1]}"
    assert feature.comparison is not None
    words = feature.comparison.replace("_", " ").replace("equals", "equal to")
    return f"1 where {names[0]} is {words} {feature.threshold:g}, else 0"


def duration(ms: int) -> str:
    """Write a span of time in its largest unit that divides it.

    >>> duration(604_800_000), duration(5_400_000), duration(0)
    ('7 days', '90 minutes', 'no time')
    """
    for name, unit in _UNITS:
        if ms and ms % unit == 0:
            return f"{ms // unit} {name}{'s' * (ms != unit)}"
    return f"{ms} milliseconds" if ms else "no time"


def _quoted(name: str | None) -> str:
    return f"`{name}`"
