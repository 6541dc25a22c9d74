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
from worker.features.event_reader import NUMERIC, no_such_field
from worker.features.feature_reader import read_features
from worker.features.spec_lines import SpecLines
from worker.features.spec_table import Table
from worker.features.vocabularies import read_vocabularies
from worker.records import MAX_MAGNITUDE, EventSchema, Field

#: The version of the file format that this module reads.
FORMAT = 1

#: Names of the tables of a spec.
TABLES = ("event", "entity", "field", "feature", "vocabulary")

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
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidConfig([f"not TOML: {error}"], subject="spec") from None
    problems: list[str] = []
    lines = SpecLines(text, TABLES)
    parts = _Reader(Table(document, problems, lines)).read()
    if problems:
        raise InvalidConfig(problems, subject="spec")
    return parts


class _Reader:
    """Reads one document; what is wrong is collected, and reading goes on."""

    def __init__(self, document: Table) -> None:
        self._document = document
        self._fields: dict[str, Field] = {}
        self._entities: dict[str, Entity] = {}

    def read(self) -> SpecParts:
        """Read every part, in the order in which they refer to each other."""
        top = self._document
        if top.integer("format", default=FORMAT) != FORMAT:
            top.problem(f"format: only {FORMAT} is known", "format")
        name = top.text("name")
        time_zone = top.text("time_zone", default="UTC")
        self._check_zone(time_zone)
        lateness_ms = top.duration_ms("allowed_lateness", default="1d")
        max_ahead_ms = top.duration_ms("max_ahead", default="5m")
        rekey = top.boolean("rekey", default=False)
        event = top.table("event")
        transaction_id = event.text("transaction_id")
        event_time = event.text("event_time")
        event.finish()
        self._read_fields()
        self._check_identity(event, transaction_id, event_time)
        self._read_entities()
        features = read_features(top, self._fields, self._entities, transaction_id)
        features = read_vocabularies(top, features)
        top.finish()
        schema = EventSchema(
            fields=tuple(self._fields.values()),
            transaction_id=transaction_id,
            event_time=event_time,
            keys=tuple(entity.key for entity in self._entities.values()),
            max_ahead_ms=max_ahead_ms,
            rekey=rekey,
        )
        return SpecParts(
            name,
            schema,
            time_zone,
            lateness_ms,
            tuple(self._entities.values()),
            features,
        )

    def _check_zone(self, name: str) -> None:
        try:
            zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError):
            sentence = (
                f"time_zone: {name!r} is not an IANA time zone, as Europe/Brussels"
            )
            self._document.problem(sentence, "time_zone")

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
                table.problem(f"field {field.name!r} is declared twice")
            self._check_field(field, table)
            self._fields[field.name] = field

    def _check_field(self, field: Field, table: Table) -> None:
        if not _PLAIN.fullmatch(field.name):
            table.problem("a name is made of letters, digits, '_', '-' and '.'")
        if not 0 <= field.decimals <= 9:
            table.problem("decimals must lie between 0 and 9", "decimals")
            return
        if not 1 <= field.max_length <= 4096:
            table.problem("max_length must lie between 1 and 4096", "max_length")
        limit = MAX_MAGNITUDE / 10**field.decimals
        for bound in (field.minimum, field.maximum):
            if bound is not None and field.type not in NUMERIC:
                table.problem(f"a {field.type} field has no minimum and no maximum")
            elif bound is not None and abs(bound) > limit:
                table.problem(f"a bound must not exceed {limit:g} in magnitude")

    def _check_identity(
        self, event: Table, transaction_id: str, event_time: str
    ) -> None:
        for key, name, types in (
            ("transaction_id", transaction_id, {"text", "integer"}),
            ("event_time", event_time, {"time"}),
        ):
            field = self._fields.get(name)
            if field is None:
                event.problem(f"{key}: {no_such_field(name, self._fields)}", key)
            elif field.type not in types or not field.required:
                wanted = " or ".join(sorted(types))
                event.problem(f"{key}: {name!r} must be a required {wanted}", key)

    def _read_entities(self) -> None:
        for table in self._document.tables("entity"):
            entity = Entity(name=table.text("name"), key=table.text("key"))
            table.finish()
            field = self._fields.get(entity.key)
            if field is None:
                table.problem(no_such_field(entity.key, self._fields), "key")
            elif field.type not in {"text", "integer"} or not field.required:
                table.problem("the key must be a required text or integer", "key")
            if entity.name in self._entities:
                table.problem(f"entity {entity.name!r} is declared twice")
            self._entities[entity.name] = entity
        if not self._entities:
            self._document.problem("at least one [[entity]] is needed")
