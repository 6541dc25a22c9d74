"""The rules that tell how far the source of the payments can be relied on.

Late and repeated are events; missing, unknown and out of range are values of features
that are made of the event itself: what a window makes of them is not the source's.
"""

from __future__ import annotations

from collections.abc import Iterator

from deploy.drift import SHORT_WINDOW, Window
from deploy.rules import Clock, Group, Recording
from worker.drift import MISSING, UNKNOWN

_HOUR = Window(SHORT_WINDOW)

#: Kinds of features that are made of the event alone: of a text, and of numbers.
_CATEGORY, _NUMBERS = "category", "field|calendar|distance|age"

#: Shares of the values of such features, by what is wrong with them.
VALUES = ("missing", "unknown", "out_of_range")

#: Shares of the scores, by their flag.
EVENTS = ("late", "duplicate")

#: Share of the records that became a dead letter, by reason.
REJECTED = f"job_reason:fraud_dlq_events:ratio_rate{SHORT_WINDOW}"


def events_ratio(flag: str) -> str:
    """Return the name of the share of scores with a flag."""
    return f"job:fraud_events_{flag}:ratio_rate{SHORT_WINDOW}"


def values_ratio(what: str) -> str:
    """Return the name of the share of values with which that is wrong."""
    return f"model:fraud_feature_values_{what}:ratio{SHORT_WINDOW}"


def source_group(clock: Clock) -> Group:
    """Return the recording rules."""
    return Group("fraud-source", "1m", tuple(_rules(clock(SHORT_WINDOW))))


def _rules(window: str) -> Iterator[Recording]:
    scored = f"sum by (job) (rate(fraud_events_scored_total[{window}]))"
    for flag in EVENTS:
        flagged = f"sum by (job) (rate(fraud_events_{flag}_total[{window}]))"
        yield Recording(events_ratio(flag), f"{flagged}\n/ ({scored} > 0)")
    yield Recording(
        REJECTED,
        f"sum by (job, reason) (rate(fraud_dlq_events_total[{window}]))\n"
        "/ on (job) group_left ()\n"
        f"(sum by (job) (rate(fraud_events_consumed_total[{window}])) > 0)",
    )
    everything = f"{_CATEGORY}|{_NUMBERS}"
    yield Recording(values_ratio("missing"), _share(MISSING, everything))
    # Beyond what training saw lies another text, or a number too small or too large.
    yield Recording(values_ratio("unknown"), _share(UNKNOWN, _CATEGORY))
    yield Recording(values_ratio("out_of_range"), _share(UNKNOWN, _NUMBERS))


def _share(slot: str, kinds: str) -> str:
    """Return the share of a slot among values of such features; 0 where none is."""
    kind = (
        "* on (model_version, feature) group_left ()\n"
        f'    max by (model_version, feature) (fraud_feature_info{{kind=~"{kinds}"}})'
    )
    return (
        f'sum by (model_version) ({_HOUR.counts}{{bin="{slot}"}}\n  {kind})\n'
        f"/ (sum by (model_version) ({_HOUR.counts}\n  {kind}) > 0)\n"
        f"or 0 * group by (model_version) ({_HOUR.counts})"
    )
