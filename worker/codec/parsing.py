"""JSON objects of a schema's shape: read fast, and explained where they are not.

Owns types, presence and lengths of texts; ranges and times are looked at later, for
whole columns. The fast path hands each value that it does not understand to a second
reading, field by field, whose word is final: it names the problem, or accepts (of a
repeated key, it reads the last). Neither keeps or raises anything with the value in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from worker.codec.verdict import WHOLE_RECORD, code_of
from worker.errors import InvalidConfig
from worker.records import MISSING, EventSchema, Field, Reason

_read_any = msgspec.json.Decoder(msgspec.Raw).decode
_read_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

#: Integers of 64 bits; the least one means "no value" in a column.
_Integer = Annotated[int, Meta(ge=MISSING + 1, le=-(MISSING + 1))]


@dataclass(frozen=True, slots=True)
class Malformed:
    """A value that is no event: its position, why, and the field's index."""

    position: int
    code: int
    field_index: int


class Parser:
    """Reads values of one schema into objects with a slot for each field.

    Raises
    ------
    InvalidConfig
        When a field has a name that cannot be a key in JSON without escapes.
    """

    def __init__(self, schema: EventSchema) -> None:
        self._fields = tuple(_FieldReader.of(schema, f) for f in schema.fields)
        self._struct = _struct_type(self._fields)
        self._decode = msgspec.json.Decoder(self._struct).decode
        #: Names of the slots, in the order of the schema's fields.
        self.slots = self._struct.__struct_fields__

    def parse(self, values: Sequence[bytes]) -> tuple[list[Any], list[Malformed]]:
        """Return the objects in order, and the values that gave none."""
        objects: list[Any] = []
        malformed: list[Malformed] = []
        remaining = iter(values)
        while True:
            try:
                # Goes on behind the value that failed, the objects so far kept.
                objects.extend(map(self._decode, remaining))
            except msgspec.DecodeError:
                position = len(objects) + len(malformed)
                self._reread(values[position], position, objects, malformed)
            else:
                return objects, malformed

    def _reread(
        self,
        value: bytes,
        position: int,
        objects: list[Any],
        malformed: list[Malformed],
    ) -> None:
        found = self.read_slowly(value)
        if isinstance(found, tuple):
            malformed.append(Malformed(position, code_of(found[0]), found[1]))
        else:
            objects.append(found)

    def read_slowly(self, value: bytes) -> Any | tuple[Reason, int]:
        """Return the object, or the first problem and its field's index.

        First the syntax of the whole value, then each field in declared order.
        """
        try:
            _read_any(value)
            raw_fields = _read_object(value)
        except msgspec.ValidationError:
            return Reason.NOT_AN_OBJECT, WHOLE_RECORD
        except msgspec.DecodeError:
            return Reason.NOT_JSON, WHOLE_RECORD
        contents: dict[str, Any] = {}
        for index, reader in enumerate(self._fields):
            found = reader.read(raw_fields.get(reader.name))
            if isinstance(found, Reason):
                return found, index
            contents[self.slots[index]] = found
        return self._struct(**contents)


@dataclass(frozen=True, slots=True)
class _FieldReader:
    """How one field is read: its type for msgspec, and whether it must be there."""

    name: str
    type: Any
    is_required: bool
    is_text: bool
    is_number: bool
    is_integer: bool

    @classmethod
    def of(cls, schema: EventSchema, field: Field) -> _FieldReader:
        is_identity = field.name in {
            schema.transaction_id,
            schema.event_time,
            *schema.keys,
        }
        is_float = field.type == "decimal" and field.encoding == "number"
        is_minor = field.type == "decimal" and field.encoding == "minor"
        is_integer = is_minor or field.type in {"integer", "time"}
        type_ = _field_type(field, is_identity=is_identity)
        is_required = field.required or is_identity
        return cls(
            field.name,
            type_ if is_required else type_ | None,
            is_required=is_required,
            is_text=field.type == "text",
            is_number=is_float or is_integer,
            is_integer=is_integer,
        )

    def read(self, raw: msgspec.Raw | None) -> Any:
        """Return the field's value, or the `Reason` why it has none."""
        if raw is None:
            return Reason.MISSING_FIELD if self.is_required else None
        try:
            return msgspec.json.decode(raw, type=self.type)
        except msgspec.DecodeError:
            return self._explain(bytes(raw))

    def _explain(self, raw: bytes) -> Reason:
        """Say why a value that is JSON is not of the field's type."""
        if raw == b"null":
            return Reason.NULL_FIELD
        if raw[0] == ord('"') and self.is_text:
            return Reason.TEXT_EMPTY if raw == b'""' else Reason.TEXT_TOO_LONG
        if self.is_number and raw[0] in b"-0123456789":
            has_fraction = any(sign in raw for sign in b".eE")
            if self.is_integer and has_fraction:
                return Reason.WRONG_TYPE
            return Reason.OUT_OF_RANGE
        return Reason.WRONG_TYPE


def _field_type(field: Field, *, is_identity: bool) -> Any:
    if field.type == "text":
        least = 1 if is_identity else 0
        return Annotated[str, Meta(min_length=least, max_length=field.max_length)]
    if field.type == "decimal":
        return {"number": float, "text": str, "minor": _Integer}[field.encoding]
    others = {"boolean": bool, "date": str, "integer": _Integer, "time": _Integer | str}
    return others[field.type]


def _struct_type(readers: Sequence[_FieldReader]) -> type[msgspec.Struct]:
    """Build a type with slots f0, f1, ...: a field may bear any name in JSON."""
    problems = [
        f"field {reader.name!r}: a name must not hold quotation marks, backslashes, "
        "control characters or halves of surrogate pairs"
        for reader in readers
        if not _is_plain(reader.name)
    ]
    if problems:
        raise InvalidConfig(problems, subject="spec")
    slots: list[Any] = [
        (f"f{index}", reader.type)
        if reader.is_required
        else (f"f{index}", reader.type, None)
        for index, reader in enumerate(readers)
    ]
    names = {f"f{index}": reader.name for index, reader in enumerate(readers)}
    # By keyword only: otherwise optional slots could not stand before required ones.
    return msgspec.defstruct("Event", slots, rename=names, gc=False, kw_only=True)


def _is_plain(name: str) -> bool:
    return not any(c < " " or c in '"\\' or "\ud800" <= c <= "\udfff" for c in name)
