"""Features of the event alone, read from their tables of a spec, strictly.

Owns what makes a field fit for each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from worker.features.declarations import (
    AgeFeature,
    CalendarFeature,
    CalendarPart,
    CategoryFeature,
    DistanceFeature,
    EventFeature,
    Feature,
)
from worker.features.spec_table import Table
from worker.records import Field

#: Field types with an order and a distance, which is what arithmetic needs.
NUMERIC = {"integer", "decimal", "boolean"}

#: Most values of a vocabulary: with the unknown code they are as many as a histogram
#: of 255 bins keeps apart.
MAX_VALUES = 254

#: Most decimals of a distance: a metre. On opposite sides of the globe the formula is
#: no better than a tenth of it.
MAX_DISTANCE_DECIMALS = 3

#: By how many degrees a latitude and a longitude may differ from zero.
_LATITUDE, _LONGITUDE = 90, 360

_PLACES = '[["latitude", "longitude"], ["other_latitude", "other_longitude"]]'


def no_such_field(name: str, fields: Iterable[str]) -> str:
    """Return the sentence about a name that no field bears."""
    return f"no [[field]] is named {name!r}; there are: {', '.join(fields)}"


class EventReader:
    """Reads the features that need nothing but the event.

    Parameters
    ----------
    names
        Of the fields that are names and not values: the id and the keys.
    """

    #: The keys that say which kind of feature a table is.
    KINDS = ("field", "calendar", "category", "distance", "age")

    def __init__(self, fields: Mapping[str, Field], names: Iterable[str]) -> None:
        self._fields = fields
        self._names = set(names)
        self._read: dict[str, Callable[[Table], Feature]] = {
            "field": self._field,
            "calendar": _calendar,
            "category": self._category,
            "distance": self._distance,
            "age": self._age,
        }

    def read(self, kind: str, table: Table) -> Feature:
        """Read a table of one of the KINDS."""
        return self._read[kind](table)

    def is_name(self, field_name: str) -> bool:
        """Whether a field is a name, which has no distance, even if of digits."""
        return field_name in self._names

    def _field(self, table: Table) -> EventFeature:
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
            table.problem(no_such_field(feature.field, self._fields), "field")
        elif field.type not in NUMERIC:
            others = {"text": "category", "date": "age"}
            remedy = f"; use `{others[field.type]}`" if field.type in others else ""
            table.problem(f"{feature.field!r} is not a number{remedy}", "field")
        elif self.is_name(feature.field):
            table.problem(f"{feature.field!r} is a key, hence a name", "field")
        check_coarseness(feature.clip, feature.round_to, table)
        return feature

    def _category(self, table: Table) -> CategoryFeature:
        feature = CategoryFeature(
            name=table.text("name"),
            field=table.text("category"),
            max_values=table.integer("max_values", default=100),
            output=table.boolean("output", default=True),
        )
        name, field = feature.field, self._fields.get(feature.field)
        if field is None:
            table.problem(no_such_field(name, self._fields), "category")
        elif field.type not in {"text", "integer"}:
            table.problem(
                f"{name!r} is a {field.type}, a category is a text or an integer",
                "category",
            )
        elif self.is_name(name):
            table.problem(
                f"{name!r} is a name, new ones come all the time; count its events "
                "with a window in place of learning it",
                "category",
            )
        if not 1 <= feature.max_values <= MAX_VALUES:
            table.problem(
                f"max_values must lie between 1 and {MAX_VALUES}", "max_values"
            )
        return feature

    def _distance(self, table: Table) -> DistanceFeature:
        feature = DistanceFeature(
            name=table.text("name"),
            places=table.pairs_of_names("distance", _PLACES),
            decimals=table.integer("decimals"),
            output=table.boolean("output", default=True),
        )
        limits = (_LATITUDE, _LONGITUDE, _LATITUDE, _LONGITUDE)
        for name, limit in zip(feature.places, limits, strict=False):
            self._check_coordinate(name, limit, table)
        if not 0 <= feature.decimals <= MAX_DISTANCE_DECIMALS:
            table.problem(
                f"decimals must lie between 0 and {MAX_DISTANCE_DECIMALS}", "decimals"
            )
        return feature

    def _check_coordinate(self, name: str, limit: int, table: Table) -> None:
        """Require a range: a longitude in a latitude's place is found by it."""
        what = "latitude" if limit == _LATITUDE else "longitude"
        field = self._fields.get(name)
        if field is None:
            table.problem(no_such_field(name, self._fields), "distance")
        elif field.type != "decimal":
            table.problem(
                f"{name!r} is of type {field.type}, a {what} is a decimal", "distance"
            )
        elif (
            field.minimum is None
            or field.maximum is None
            or field.minimum < -limit
            or field.maximum > limit
        ):
            table.problem(
                f"{name!r} stands for a {what}: declare the field with a minimum of at "
                f"least -{limit} and a maximum of at most {limit}",
                "distance",
            )

    def _age(self, table: Table) -> AgeFeature:
        feature = AgeFeature(
            name=table.text("name"),
            field=table.text("age"),
            output=table.boolean("output", default=True),
        )
        field = self._fields.get(feature.field)
        if field is None:
            table.problem(no_such_field(feature.field, self._fields), "age")
        elif field.type != "date":
            table.problem(
                f"{feature.field!r} is of type {field.type}, an age is counted from a "
                "field of type date",
                "age",
            )
        return feature


def _calendar(table: Table) -> CalendarFeature:
    return CalendarFeature(
        name=table.text("name"),
        part=CalendarPart(table.choice("calendar", tuple(CalendarPart))),
        output=table.boolean("output", default=True),
    )


def check_coarseness(
    clip: tuple[float, float] | None, round_to: float | None, table: Table
) -> None:
    """Report limits and multiples that mean nothing."""
    if clip is not None and clip[0] > clip[1]:
        table.problem("clip must be [least, greatest]", "clip")
    if round_to is not None and round_to <= 0:
        table.problem("round_to must be above 0", "round_to")
