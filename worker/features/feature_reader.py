"""The features of a spec: what each table declares, and whether it can be computed.

Owns the kinds of feature in the file format. Knows nothing of data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from worker.features.declarations import (
    CalendarFeature,
    CalendarPart,
    Comparison,
    DerivedFeature,
    Entity,
    EventFeature,
    Feature,
    Operation,
    Statistic,
    WindowFeature,
)
from worker.features.spec_table import Table
from worker.features.stages import stage_of
from worker.records import Field

#: Field types with an order and a distance, which is what arithmetic needs.
NUMERIC = {"integer", "decimal", "boolean"}

#: Statistics that need no `of`.
_WITHOUT_VALUE = {
    Statistic.COUNT,
    Statistic.SECONDS_SINCE_LAST,
    *(statistic for statistic in Statistic if statistic.needs_labels),
}

#: The key that says which kind of feature a table is.
_KINDS = ("field", "calendar", "statistic", *Operation)


def read_features(
    document: Table,
    fields: Mapping[str, Field],
    entities: Mapping[str, Entity],
    problems: list[str],
) -> tuple[Feature, ...]:
    """Read the `feature` tables; what is wrong is appended to `problems`."""
    return _FeatureReader(fields, entities, problems).read(document)


class _FeatureReader:
    """Reads features in order; each may refer to those before it."""

    def __init__(
        self,
        fields: Mapping[str, Field],
        entities: Mapping[str, Entity],
        problems: list[str],
    ) -> None:
        self._fields = fields
        self._entities = entities
        self._problems = problems
        self._features: dict[str, Feature] = {}
        self._stages: dict[str, int] = {}

    def read(self, document: Table) -> tuple[Feature, ...]:
        """Read every table of the array."""
        for table in document.tables("feature"):
            for feature in self._feature(table):
                if self._is_taken(feature):
                    self._problem(table.place, f"the name {feature.name!r} is taken")
                self._check_stage(feature, table.place)
                self._features[feature.name] = feature
            table.finish()
        if not any(f.output for f in self._features.values()):
            self._problem("feature", "no feature is an input of the model")
        return tuple(self._features.values())

    def _check_stage(self, feature: Feature, place: str) -> None:
        """A window's inputs must be known where its entity's state is."""
        entities = tuple(self._entities.values())
        window = feature if isinstance(feature, WindowFeature) else None
        if window is not None and window.entity not in self._entities:
            return
        stage = stage_of(feature, entities, self._stages)
        self._stages[feature.name] = stage
        if window is not None and entities[stage].name != window.entity:
            self._problem(
                place,
                f"a window of {window.entity!r} cannot use what only the later "
                f"{entities[stage].name!r} knows; change the order of the entities",
            )

    def _problem(self, place: str, sentence: str) -> None:
        self._problems.append(f"{place}: {sentence}")

    def _is_taken(self, feature: Feature) -> bool:
        is_known = feature.name in self._features or feature.name in self._fields
        return is_known and not self._is_plain_field(feature)

    def _is_key(self, field_name: str) -> bool:
        """Keys are names even where they are numbers: they have no distance."""
        return any(entity.key == field_name for entity in self._entities.values())

    def _is_plain_field(self, feature: Feature) -> bool:
        """A feature may bear its field's name as long as it is that field."""
        return (
            isinstance(feature, EventFeature)
            and feature.name == feature.field
            and feature.name not in self._features
            and (feature.clip, feature.round_to, feature.log) == (None, None, False)
        )

    def _feature(self, table: Table) -> Iterator[Feature]:
        """One table is one feature, or one for each of its `windows`."""
        kinds = [k for k in _KINDS if table.has(k)]
        if len(kinds) != 1:
            names = ", ".join(_KINDS)
            self._problem(table.place, f"exactly one of {names} is expected")
            table.ignore()
        elif kinds[0] == "statistic":
            yield from self._window_features(table)
        elif kinds[0] == "field":
            yield self._event_feature(table)
        elif kinds[0] == "calendar":
            yield CalendarFeature(
                name=table.text("name"),
                part=CalendarPart(table.choice("calendar", tuple(CalendarPart))),
                output=table.boolean("output", default=True),
            )
        else:
            yield self._derived_feature(table, Operation(kinds[0]))

    def _event_feature(self, table: Table) -> EventFeature:
        feature = EventFeature(
            name=table.text("name"),
            field=table.text("field"),
            clip=table.optional_pair("clip"),
            round_to=table.optional_number("round_to"),
            log=table.boolean("log", default=False),
            output=table.boolean("output", default=True),
        )
        field = self._fields.get(feature.field)
        if field is None:
            self._problem(table.place, f"no [[field]] is named {feature.field!r}")
        elif field.type not in NUMERIC:
            self._problem(table.place, f"{feature.field!r} is not a number")
        elif self._is_key(feature.field):
            self._problem(table.place, f"{feature.field!r} is a key, hence a name")
        self._check_coarseness(feature, table.place)
        return feature

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
        self._check_window(common, table.place)
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

    def _check_window(self, feature: WindowFeature, place: str) -> None:
        if feature.entity not in self._entities:
            self._problem(place, f"no [[entity]] is named {feature.entity!r}")
        if feature.of is None and feature.statistic not in _WITHOUT_VALUE:
            self._problem(place, f"{feature.statistic} needs `of`: a field or feature")
        if feature.statistic.needs_labels:
            self._check_label_window(feature, place)
        elif feature.of is not None:
            self._check_measure(feature.of, feature.statistic, place)
        condition = self._features.get(feature.where) if feature.where else None
        if feature.where and not (
            isinstance(condition, DerivedFeature)
            and condition.operation is Operation.CONDITION
        ):
            self._problem(place, f"{feature.where!r} is not an earlier condition")

    def _check_label_window(self, feature: WindowFeature, place: str) -> None:
        if feature.of is not None:
            self._problem(place, f"{feature.statistic} is of labels: leave out `of`")
        if feature.delay_ms == 0:
            self._problem(
                place, f"{feature.statistic} needs a `delay`: labels come days later"
            )

    def _check_measure(self, name: str, statistic: Statistic, place: str) -> None:
        """A windowed value is an integer at declared decimals, so sums are exact."""
        feature = self._features.get(name)
        field = self._fields.get(name)
        if field is not None:
            numeric = field.type in NUMERIC and not self._is_key(name)
            if not numeric and statistic not in {Statistic.DISTINCT, Statistic.COUNT}:
                self._problem(place, f"{name!r} is not a number")
        elif not isinstance(feature, DerivedFeature):
            self._problem(place, f"{name!r} is neither a field nor an earlier feature")
        elif feature.decimals is None and feature.operation is not Operation.CONDITION:
            self._problem(place, f"{name!r} needs `decimals` to feed a window")

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
                self._problem(table.place, "strength must be above 0")
        for name in inputs:
            if name not in self._features:
                self._problem(table.place, f"{name!r} is not an earlier feature")
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
        self._check_derived(feature, table.place)
        return feature

    def _check_derived(self, feature: DerivedFeature, place: str) -> None:
        self._check_coarseness(feature, place)
        coarse = (feature.clip, feature.round_to, feature.decimals)
        if feature.operation is Operation.CONDITION and coarse != (None, None, None):
            self._problem(place, "a condition is 0 or 1: nothing to clip or round")
        if feature.decimals is not None and not 0 <= feature.decimals <= 9:
            self._problem(place, "decimals must lie between 0 and 9")

    def _check_coarseness(
        self, feature: EventFeature | DerivedFeature, place: str
    ) -> None:
        if feature.clip is not None and feature.clip[0] > feature.clip[1]:
            self._problem(place, "clip must be [least, greatest]")
        if feature.round_to is not None and feature.round_to <= 0:
            self._problem(place, "round_to must be above 0")
