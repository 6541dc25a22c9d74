"""The TOML of a spec, read strictly: every problem is reported, each by its place.

Owns the file format. Knows nothing of what a transform does with a spec.
"""

from __future__ import annotations

import tomllib
import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass

from worker.errors import InvalidConfig
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
from worker.records import MAX_MAGNITUDE, EventSchema, Field

#: The version of the file format that this module reads.
FORMAT = 1

#: Statistics that need no `of`.
_WITHOUT_VALUE = {Statistic.COUNT, Statistic.SECONDS_SINCE_LAST}

#: Field types with an order and a distance, which is what arithmetic needs.
_NUMERIC = {"integer", "decimal", "boolean"}


@dataclass(frozen=True, slots=True)
class SpecParts:
    """What a spec file says, checked."""

    name: str
    schema: EventSchema
    time_zone: str
    allowed_lateness_ms: int
    entities: tuple[Entity, ...]
    features: tuple[Feature, ...]


def read_spec(text: str) -> SpecParts:
    """Read the TOML of a spec.

    Raises
    ------
    InvalidConfig
        With one sentence for each problem.
    """
    problems: list[str] = []
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidConfig([f"not TOML: {error}"], subject="spec") from None
    parts = _Reader(Table(document, "top level", problems), problems).read()
    if problems:
        raise InvalidConfig(problems, subject="spec")
    return parts


class _Reader:
    """Reads one document; what is wrong is collected, and reading goes on."""

    def __init__(self, document: Table, problems: list[str]) -> None:
        self._document = document
        self._problems = problems
        self._fields: dict[str, Field] = {}
        self._entities: dict[str, Entity] = {}
        self._features: dict[str, Feature] = {}

    def read(self) -> SpecParts:
        """Read every part, in the order in which they refer to each other."""
        top = self._document
        if top.integer("format", default=FORMAT) != FORMAT:
            self._problem("format", f"only {FORMAT} is known")
        name = top.text("name")
        time_zone = top.text("time_zone", default="UTC")
        self._check_zone(time_zone)
        lateness_ms = top.duration_ms("allowed_lateness", default="1d")
        max_ahead_ms = top.duration_ms("max_ahead", default="5m")
        event = top.table("event")
        transaction_id = event.text("transaction_id")
        event_time = event.text("event_time")
        event.finish()
        self._read_fields()
        self._check_identity(transaction_id, event_time)
        self._read_entities()
        self._read_features()
        top.finish()
        schema = EventSchema(
            fields=tuple(self._fields.values()),
            transaction_id=transaction_id,
            event_time=event_time,
            keys=tuple(entity.key for entity in self._entities.values()),
            max_ahead_ms=max_ahead_ms,
        )
        return SpecParts(
            name,
            schema,
            time_zone,
            lateness_ms,
            tuple(self._entities.values()),
            tuple(self._features.values()),
        )

    def _problem(self, place: str, sentence: str) -> None:
        self._problems.append(f"{place}: {sentence}")

    def _check_zone(self, name: str) -> None:
        try:
            zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError):
            self._problem("time_zone", f"{name!r} is not an IANA time zone")

    def _read_fields(self) -> None:
        for table in self._document.tables("field"):
            field = Field(
                name=table.text("name"),
                type=table.choice(
                    "type", ("text", "integer", "decimal", "boolean", "time")
                ),
                required=table.boolean("required", default=True),
                max_length=table.integer("max_length", default=64),
                decimals=table.integer("decimals", default=0),
                encoding=table.choice(
                    "encoding", ("number", "text", "minor"), default="number"
                ),
                minimum=table.optional_number("minimum"),
                maximum=table.optional_number("maximum"),
            )
            table.finish()
            if field.name in self._fields:
                self._problem(table.place, f"field {field.name!r} is declared twice")
            self._check_field(field, table.place)
            self._fields[field.name] = field

    def _check_field(self, field: Field, place: str) -> None:
        if not 0 <= field.decimals <= 9:
            self._problem(place, "decimals must lie between 0 and 9")
            return
        if not 1 <= field.max_length <= 4096:
            self._problem(place, "max_length must lie between 1 and 4096")
        limit = MAX_MAGNITUDE / 10**field.decimals
        for bound in (field.minimum, field.maximum):
            if bound is not None and field.type not in _NUMERIC:
                self._problem(place, f"a {field.type} field has no range")
            elif bound is not None and abs(bound) > limit:
                self._problem(place, f"a bound must not exceed {limit:g} in magnitude")

    def _check_identity(self, transaction_id: str, event_time: str) -> None:
        for place, name, types in (
            ("event.transaction_id", transaction_id, {"text", "integer"}),
            ("event.event_time", event_time, {"time"}),
        ):
            field = self._fields.get(name)
            if field is None:
                self._problem(place, f"no [[field]] is named {name!r}")
            elif field.type not in types or not field.required:
                self._problem(
                    place, f"{name!r} must be a required {' or '.join(sorted(types))}"
                )

    def _read_entities(self) -> None:
        for table in self._document.tables("entity"):
            entity = Entity(name=table.text("name"), key=table.text("key"))
            table.finish()
            field = self._fields.get(entity.key)
            if field is None:
                self._problem(table.place, f"no [[field]] is named {entity.key!r}")
            elif field.type not in {"text", "integer"} or not field.required:
                self._problem(table.place, "the key must be a required text or integer")
            if entity.name in self._entities:
                self._problem(table.place, f"entity {entity.name!r} is declared twice")
            self._entities[entity.name] = entity
        if len(self._entities) != 1:
            self._problem("entity", "exactly one [[entity]] is supported")

    def _read_features(self) -> None:
        for table in self._document.tables("feature"):
            for feature in self._feature(table):
                if feature.name in self._features or feature.name in self._fields:
                    if not self._is_plain_field(feature):
                        self._problem(table.place, f"{feature.name!r} is taken")
                self._features[feature.name] = feature
            table.finish()
        if not any(f.output for f in self._features.values()):
            self._problem("feature", "no feature is an input of the model")

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
        elif field.type not in _NUMERIC:
            self._problem(table.place, f"{feature.field!r} is not a number")
        if feature.clip is not None and feature.clip[0] > feature.clip[1]:
            self._problem(table.place, "clip must be [least, greatest]")
        if feature.round_to is not None and feature.round_to <= 0:
            self._problem(table.place, "round_to must be above 0")
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
        if feature.of is not None:
            self._check_measure(feature.of, feature.statistic, place)
        condition = self._features.get(feature.where) if feature.where else None
        if feature.where and not (
            isinstance(condition, DerivedFeature)
            and condition.operation is Operation.CONDITION
        ):
            self._problem(place, f"{feature.where!r} is not an earlier condition")

    def _check_measure(self, name: str, statistic: Statistic, place: str) -> None:
        """A windowed value must be an integer at declared decimals, so sums are exact."""
        feature = self._features.get(name)
        field = self._fields.get(name)
        if field is not None:
            numeric = field.type in _NUMERIC
            if not numeric and statistic not in {Statistic.DISTINCT, Statistic.COUNT}:
                self._problem(place, f"{name!r} is not a number")
        elif not isinstance(feature, DerivedFeature):
            self._problem(place, f"{name!r} is neither a field nor an earlier feature")
        elif feature.decimals is None and feature.operation is not Operation.CONDITION:
            self._problem(place, f"{name!r} needs `decimals` to feed a window")

    def _derived_feature(self, table: Table, operation: Operation) -> DerivedFeature:
        comparison, threshold = None, None
        if operation is Operation.CONDITION:
            inputs: tuple[str, ...] = (table.text("condition"),)
            comparison, threshold = table.comparison(tuple(Comparison))
        else:
            inputs = table.names(operation, count=2)
        for name in inputs:
            if name not in self._features:
                self._problem(table.place, f"{name!r} is not an earlier feature")
        decimals = table.optional_integer("decimals")
        if decimals is not None and not 0 <= decimals <= 9:
            self._problem(table.place, "decimals must lie between 0 and 9")
        return DerivedFeature(
            name=table.text("name"),
            operation=operation,
            inputs=inputs,
            comparison=None if comparison is None else Comparison(comparison),
            threshold=threshold,
            decimals=decimals,
            output=table.boolean("output", default=True),
        )


#: The key that says which kind of feature a table is.
_KINDS = ("field", "calendar", "statistic", "ratio", "difference", "condition")
