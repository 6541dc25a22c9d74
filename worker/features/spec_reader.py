"""The TOML of a spec, read strictly: every problem is reported, each by its place.

Owns the file format. Knows nothing of what a transform does with a spec.
"""

from __future__ import annotations

import re
import tomllib
import zoneinfo
from dataclasses import dataclass

from worker.errors import InvalidConfig
from worker.features.declarations import Entity, Feature
from worker.features.feature_reader import NUMERIC, read_features
from worker.features.spec_table import Table
from worker.records import MAX_MAGNITUDE, EventSchema, Field

#: The version of the file format that this module reads.
FORMAT = 1


#: Names that need no escape anywhere: in JSON, in headers, in labels of metrics.
_PLAIN = re.compile(r"[\w.-]{1,64}")


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
        features = read_features(top, self._fields, self._entities, self._problems)
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
            features,
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
                    "type", ("text", "integer", "decimal", "boolean", "time", "date")
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
        if not _PLAIN.fullmatch(field.name):
            self._problem(place, "a name is made of letters, digits, '_', '-' and '.'")
        if not 0 <= field.decimals <= 9:
            self._problem(place, "decimals must lie between 0 and 9")
            return
        if not 1 <= field.max_length <= 4096:
            self._problem(place, "max_length must lie between 1 and 4096")
        limit = MAX_MAGNITUDE / 10**field.decimals
        for bound in (field.minimum, field.maximum):
            if bound is not None and field.type not in NUMERIC:
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
        if not self._entities:
            self._problem("entity", "at least one [[entity]] is needed")
