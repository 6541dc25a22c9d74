"""The features of a spec: what each table declares, and whether it can be computed.

Owns the kinds of feature in the file format. Knows nothing of data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from worker.features.declarations import (
    CategoryFeature,
    Comparison,
    DerivedFeature,
    DistanceFeature,
    Entity,
    EventFeature,
    Feature,
    Operation,
    Statistic,
    WindowFeature,
)
from worker.features.event_reader import NUMERIC, EventReader, check_coarseness
from worker.features.spec_table import Table
from worker.features.stages import stage_of
from worker.records import Field

#: Statistics that need no `of`.
_WITHOUT_VALUE = {
    Statistic.COUNT,
    Statistic.SECONDS_SINCE_LAST,
    *(statistic for statistic in Statistic if statistic.needs_labels),
}

#: The key that says which kind of feature a table is.
KINDS = (*EventReader.KINDS, "statistic", *Operation)


def read_features(
    document: Table,
    fields: Mapping[str, Field],
    entities: Mapping[str, Entity],
    transaction_id: str,
) -> tuple[Feature, ...]:
    """Read the `feature` tables; what is wrong is reported in its place."""
    return _FeatureReader(fields, entities, transaction_id).read(document)


class _FeatureReader:
    """Reads features in order; each may refer to those before it."""

    def __init__(
        self,
        fields: Mapping[str, Field],
        entities: Mapping[str, Entity],
        transaction_id: str,
    ) -> None:
        self._fields = fields
        self._entities = entities
        keys = (entity.key for entity in entities.values())
        self._event_reader = EventReader(fields, {transaction_id, *keys})
        self._features: dict[str, Feature] = {}
        self._stages: dict[str, int] = {}

    def read(self, document: Table) -> tuple[Feature, ...]:
        """Read every table of the array."""
        for table in document.tables("feature"):
            for feature in self._feature(table):
                if self._is_taken(feature):
                    table.problem(f"the name {feature.name!r} is taken", "name")
                self._check_stage(feature, table)
                self._features[feature.name] = feature
            table.finish()
        if not any(f.output for f in self._features.values()):
            document.problem("no feature is an input of the model")
        return tuple(self._features.values())

    def _check_stage(self, feature: Feature, table: Table) -> None:
        """A window's inputs must be known where its entity's state is."""
        entities = tuple(self._entities.values())
        window = feature if isinstance(feature, WindowFeature) else None
        if window is not None and window.entity not in self._entities:
            return
        stage = stage_of(feature, entities, self._stages)
        self._stages[feature.name] = stage
        if window is not None and entities[stage].name != window.entity:
            table.problem(
                f"a window of {window.entity!r} cannot use what only the later "
                f"{entities[stage].name!r} knows; change the order of the entities",
            )

    def _is_taken(self, feature: Feature) -> bool:
        is_known = feature.name in self._features or feature.name in self._fields
        return is_known and not self._is_plain_field(feature)

    def _is_plain_field(self, feature: Feature) -> bool:
        """A feature may bear its field's name as long as it is that field."""
        if isinstance(feature, CategoryFeature):
            return feature.name == feature.field and feature.name not in self._features
        return (
            isinstance(feature, EventFeature)
            and feature.name == feature.field
            and feature.name not in self._features
            and (feature.clip, feature.round_to, feature.log) == (None, None, False)
        )

    def _feature(self, table: Table) -> Iterator[Feature]:
        """One table is one feature, or one for each of its `windows`."""
        kinds = [k for k in KINDS if table.has(k)]
        if len(kinds) != 1:
            table.problem(f"exactly one of {', '.join(KINDS)} is expected")
            table.ignore()
        elif kinds[0] == "statistic":
            yield from self._window_features(table)
        elif kinds[0] in EventReader.KINDS:
            yield self._event_reader.read(kinds[0], table)
        else:
            yield self._derived_feature(table, Operation(kinds[0]))

    def _window_features(self, table: Table) -> Iterator[WindowFeature]:
        statistic = Statistic(table.choice("statistic", tuple(Statistic)))
        common = WindowFeature(
            name=table.text("name"),
            entity=table.text("entity"),
            statistic=statistic,
            window_ms=0,
            of=table.optional_text("of"),
            where=table.optional_text("where"),
            delay_ms=table.duration_ms("delay", default="0s"),
            include_current=table.boolean("include_current", default=True),
            empty=table.optional_number("empty"),
            output=table.boolean("output", default=True),
        )
        self._check_window(common, table)
        for suffix, window_ms in table.windows():
            yield WindowFeature(
                name=common.name + suffix,
                entity=common.entity,
                statistic=statistic,
                window_ms=window_ms,
                of=common.of,
                where=common.where,
                delay_ms=common.delay_ms,
                include_current=common.include_current,
                empty=common.empty,
                output=common.output,
            )

    def _check_window(self, feature: WindowFeature, table: Table) -> None:
        if feature.entity not in self._entities:
            known = ", ".join(self._entities)
            table.problem(
                f"no [[entity]] is named {feature.entity!r}; there are: {known}",
                "entity",
            )
        if feature.of is None and feature.statistic not in _WITHOUT_VALUE:
            table.problem(f"{feature.statistic} needs `of`: a field or feature")
        if feature.statistic.needs_labels:
            _check_label_window(feature, table)
        elif feature.of is not None:
            self._check_measure(feature.of, feature.statistic, table)
        condition = self._features.get(feature.where) if feature.where else None
        if feature.where and not (
            isinstance(condition, DerivedFeature)
            and condition.operation is Operation.CONDITION
        ):
            table.problem(f"{feature.where!r} is not an earlier condition", "where")

    def _check_measure(self, name: str, statistic: Statistic, table: Table) -> None:
        """A windowed value is an integer at declared decimals, so sums are exact."""
        feature = self._features.get(name)
        field = self._fields.get(name)
        if field is not None:
            numeric = field.type in NUMERIC and not self._event_reader.is_name(name)
            if not numeric and statistic not in {Statistic.DISTINCT, Statistic.COUNT}:
                table.problem(f"{name!r} is not a number", "of")
        elif isinstance(feature, DistanceFeature):
            return
        elif not isinstance(feature, DerivedFeature):
            table.problem(
                f"{name!r} is neither a field nor an earlier distance or derived "
                "feature",
                "of",
            )
        elif feature.decimals is None and feature.operation is not Operation.CONDITION:
            table.problem(f"{name!r} needs `decimals` to feed a window", "of")

    def _derived_feature(self, table: Table, operation: Operation) -> DerivedFeature:
        comparison, threshold, prior, strength = None, None, None, None
        if operation is Operation.CONDITION:
            inputs: tuple[str, ...] = (table.text("condition"),)
            comparison, threshold = table.comparison(tuple(Comparison))
        else:
            inputs = table.names(operation, count=2)
        if operation is Operation.SHRUNK_MEAN:
            prior, strength = table.number("prior"), table.number("strength")
            if strength <= 0:
                table.problem("strength must be above 0", "strength")
        for name in inputs:
            self._check_input(name, table)
        feature = DerivedFeature(
            name=table.text("name"),
            operation=operation,
            inputs=inputs,
            comparison=None if comparison is None else Comparison(comparison),
            threshold=threshold,
            prior=prior,
            strength=strength,
            clip=table.optional_pair("clip"),
            round_to=table.optional_number("round_to"),
            decimals=table.optional_integer("decimals"),
            output=table.boolean("output", default=True),
        )
        _check_derived(feature, table)
        return feature

    def _check_input(self, name: str, table: Table) -> None:
        if name not in self._features:
            table.problem(f"{name!r} is not an earlier feature")
        elif isinstance(self._features[name], CategoryFeature):
            table.problem(f"{name!r} is a category: its code is no number")


def _check_label_window(feature: WindowFeature, table: Table) -> None:
    if feature.of is not None:
        table.problem(f"{feature.statistic} is of labels: leave out `of`", "of")
    if feature.delay_ms == 0:
        table.problem(
            f"{feature.statistic} needs a `delay`: labels come days later", "delay"
        )


def _check_derived(feature: DerivedFeature, table: Table) -> None:
    check_coarseness(feature.clip, feature.round_to, table)
    coarse = (feature.clip, feature.round_to, feature.decimals)
    if feature.operation is Operation.CONDITION and coarse != (None, None, None):
        table.problem("a condition is 0 or 1: nothing to clip or round")
    if feature.decimals is not None and not 0 <= feature.decimals <= 9:
        table.problem("decimals must lie between 0 and 9", "decimals")
