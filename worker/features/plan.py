"""A spec compiled: which columns, words and operations its windows need.

Window features over the same values share one measure, hence one pass. Knows the
layout of the state, but holds none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.features import layout
from worker.features.declarations import MeasurableFeature, Statistic, WindowFeature
from worker.features.spec import Spec
from worker.records import Field

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_CODES = {
    Statistic.COUNT: layout.COUNT,
    Statistic.SUM: layout.SUM,
    Statistic.MEAN: layout.MEAN,
    Statistic.STD: layout.STD,
    Statistic.MIN: layout.MIN,
    Statistic.MAX: layout.MAX,
    Statistic.DISTINCT: layout.DISTINCT,
    Statistic.LAST: layout.LAST,
    Statistic.SECONDS_SINCE_LAST: layout.SECONDS_SINCE_LAST,
    Statistic.FRAUD_COUNT: layout.FRAUD_COUNT,
    Statistic.FRAUD_RATE: layout.FRAUD_RATE,
    Statistic.LAST_LABEL: layout.LAST_LABEL,
    Statistic.SECONDS_SINCE_FRAUD: layout.SECONDS_SINCE_FRAUD,
    Statistic.FRAUD_STREAK: layout.FRAUD_STREAK,
    Statistic.FRAUD_STREAK_SECONDS: layout.FRAUD_STREAK_SECONDS,
}
_SUMS = {Statistic.COUNT, Statistic.SUM, Statistic.MEAN, Statistic.STD}
_EXTREMES = {Statistic.MIN: -1, Statistic.MAX: 1}


@dataclass(frozen=True, slots=True)
class Operations:
    """Window features that one kernel computes: (k, OP_COLUMNS), and (k,) values."""

    table: Ints
    empty: Floats


@dataclass(frozen=True, slots=True)
class ExtremePlan:
    """All windows of a measure that want its greatest, or least, value."""

    sign: int
    words: Ints
    operations: Operations


@dataclass(frozen=True, slots=True)
class MeasurePlan:
    """A value per event, and the statistics over its windows.

    `scale` is what an integer of the measure is divided by: 10**decimals.
    """

    of: str | None
    where: str | None
    scale: float
    value_word: int
    sum_words: Ints
    sums: Operations | None
    extremes: tuple[ExtremePlan, ...]
    scans: Operations | None


@dataclass(frozen=True, slots=True)
class FraudPlan:
    """The events for which a condition holds, and the statistics over their labels."""

    where: str | None
    words: Ints
    operations: Operations


@dataclass(frozen=True, slots=True)
class StateLayout:
    """Sizes of a state's arrays, and the places that relocation must know."""

    edges: Ints
    meta_columns: int
    row_words: int
    shifted_words: int
    queues: Ints
    retention_ms: int
    lateness_ms: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What a stage does for its windows: the measures by first use."""

    columns: dict[str, int]
    measures: dict[tuple[str | None, str | None], MeasurePlan]
    frauds: dict[str | None, FraudPlan]
    layout: StateLayout


def compile_plan(spec: Spec, stage: int) -> Plan:
    """Compile the windows of a stage's entity."""
    columns = {feature.name: i for i, feature in enumerate(spec.features)}
    entity = spec.entities[stage].name
    windows = [
        f for f in spec.features if isinstance(f, WindowFeature) and f.entity == entity
    ]
    offsets = {f.span_ms for f in windows} | {f.delay_ms for f in windows if f.delay_ms}
    edges = np.array(sorted(offsets, reverse=True), np.int64)
    groups: dict[tuple[str | None, str | None], list[WindowFeature]] = {}
    of_labels: dict[str | None, list[WindowFeature]] = {}
    for feature in windows:
        if feature.statistic.needs_labels:
            of_labels.setdefault(feature.where, []).append(feature)
        else:
            groups.setdefault((feature.of, feature.where), []).append(feature)
    allocation = _Allocation(edges)
    measures = {
        key: _compile_measure(spec, group, columns, allocation)
        for key, group in groups.items()
    }
    frauds = {
        where: _compile_frauds(where, group, columns, allocation)
        for where, group in of_labels.items()
    }
    state_layout = allocation.layout(spec.allowed_lateness_ms)
    return Plan(columns, measures, frauds, state_layout)


class _Allocation:
    """Hands out words of the rows and columns of the keys.

    The words of queues come last in a row: an insert shifts all words but those.
    """

    def __init__(self, edges: Ints) -> None:
        self.edges = edges
        self._words = layout.FIRST_WORD
        self._columns = layout.FIRST_HEAD + len(edges)
        self._queues: list[tuple[Ints, int]] = []

    def word(self, count: int = 1) -> int:
        """Reserve consecutive words of each event's row."""
        self._words += count
        return self._words - count

    def column(self, count: int = 1) -> int:
        """Reserve consecutive columns of each key."""
        self._columns += count
        return self._columns - count

    def queue(self, words: Ints, place: int, pointers: int) -> None:
        """Reserve a queue; its word is written to words[place] by `layout`."""
        words[place + 1] = self.column(2 + pointers)
        self._queues.append((words, place))

    def layout(self, lateness_ms: int) -> StateLayout:
        """Close the allocation."""
        shifted = self._words
        queues = np.zeros((len(self._queues), 2), np.int64)
        for i, (words, place) in enumerate(self._queues):
            words[place] = queues[i, 0] = self.word()
            queues[i, 1] = words[place + 1]
        reach = int(self.edges[0]) if self.edges.size else 0
        return StateLayout(
            edges=self.edges,
            meta_columns=self._columns,
            row_words=self._words,
            shifted_words=shifted,
            queues=queues,
            retention_ms=reach + lateness_ms,
            lateness_ms=lateness_ms,
        )


def _compile_measure(
    spec: Spec,
    features: Sequence[WindowFeature],
    columns: dict[str, int],
    allocation: _Allocation,
) -> MeasurePlan:
    first = features[0]
    sums = [f for f in features if f.statistic in _SUMS]
    queued = [f for f in features if f.statistic in _EXTREMES and not f.delay_ms]
    scans = [f for f in features if f not in sums and f not in queued]
    keeps_value = bool(queued) or (bool(scans) and _has_value(first))
    value_word = allocation.word() if keeps_value else layout.NOT_KEPT
    return MeasurePlan(
        of=first.of,
        where=first.where,
        scale=float(10 ** _decimals(spec, first.of)),
        value_word=value_word,
        sum_words=_sum_words(spec, sums, allocation),
        sums=_operations(sums, columns, allocation.edges),
        extremes=tuple(
            _extreme_plan(group, sign, value_word, columns, allocation)
            for statistic, sign in _EXTREMES.items()
            if (group := [f for f in queued if f.statistic is statistic])
        ),
        scans=_operations(scans, columns, allocation.edges),
    )


def _compile_frauds(
    where: str | None,
    features: Sequence[WindowFeature],
    columns: dict[str, int],
    allocation: _Allocation,
) -> FraudPlan:
    words = [allocation.word() for _ in range(2)]
    words += [allocation.column() for _ in range(2)]
    operations = _operations(features, columns, allocation.edges)
    assert operations is not None
    return FraudPlan(where, np.array(words, np.int64), operations)


def _has_value(feature: WindowFeature) -> bool:
    """Whether events differ in a value, or at least in having one."""
    return feature.of is not None or feature.where is not None


def _decimals(spec: Spec, name: str | None) -> int:
    for field in spec.schema.fields:
        if field.name == name:
            return field.decimals if field.type == "decimal" else 0
    for feature in spec.features:
        if feature.name == name and isinstance(feature, MeasurableFeature):
            return feature.decimals or 0
    return 0


def _may_be_missing(spec: Spec, feature: WindowFeature) -> bool:
    if feature.where is not None:
        return True
    fields: dict[str, Field] = {field.name: field for field in spec.schema.fields}
    if feature.of in fields:
        return not fields[feature.of].required
    return feature.of is not None


def _sum_words(
    spec: Spec, features: Sequence[WindowFeature], allocation: _Allocation
) -> Ints:
    """Places of sum, count and squares: in an event's row, then in its key's."""
    words = np.full(6, layout.NOT_KEPT, np.int64)
    statistics = {f.statistic for f in features}
    if statistics - {Statistic.COUNT}:
        words[0], words[3] = allocation.word(), allocation.column()
    if features and _may_be_missing(spec, features[0]):
        words[1], words[4] = allocation.word(), allocation.column()
    if Statistic.STD in statistics:
        words[2], words[5] = allocation.word(2), allocation.column(2)
    return words


def _extreme_plan(
    features: Sequence[WindowFeature],
    sign: int,
    value_word: int,
    columns: dict[str, int],
    allocation: _Allocation,
) -> ExtremePlan:
    operations = _operations(features, columns, allocation.edges)
    assert operations is not None
    operations.table[:, layout.OP_POINTER] = np.arange(len(features))
    longest = int(operations.table[:, layout.OP_START].min())
    words = np.array([value_word, 0, 0, longest, len(features)], np.int64)
    allocation.queue(words, 1, pointers=len(features))
    return ExtremePlan(sign, words, operations)


def _operations(
    features: Sequence[WindowFeature], columns: dict[str, int], edges: Ints
) -> Operations | None:
    if not features:
        return None
    places = {int(offset): i for i, offset in enumerate(edges)}
    table = np.zeros((len(features), layout.OP_COLUMNS), np.int64)
    for row, feature in zip(table, features, strict=True):
        row[layout.OP_STATISTIC] = _CODES[feature.statistic]
        row[layout.OP_START] = places[feature.span_ms]
        row[layout.OP_END] = (
            places[feature.delay_ms] if feature.delay_ms else layout.NOW
        )
        row[layout.OP_CURRENT] = int(feature.include_current)
        row[layout.OP_COLUMN] = columns[feature.name]
    empty = [math.nan if f.empty is None else f.empty for f in features]
    return Operations(table, np.array(empty, np.float64))
