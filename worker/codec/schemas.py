"""The contracts of the topics as JSON Schema, derived from the code that keeps them.

A schema says what JSON Schema can say. What it cannot is in the descriptions: that an
integer is written without a fraction, how many decimals a number has, which times are
plausible. So the decoder refuses all that a schema refuses, and a little more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from worker.codec.decimals import bounds_of
from worker.codec.headers import DEAD_LETTER_HEADERS
from worker.codec.labels import label_schema
from worker.codec.scores import GroupedScore
from worker.codec.times import END_MS, FIRST_MS
from worker.records import MISSING, EventSchema, Field, Reason

_DIALECT = "https://json-schema.org/draft/2020-12/schema"

_DATE_PATTERN = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"

_TIME_PATTERN = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})$"
)


def transaction_schema(schema: EventSchema) -> dict[str, Any]:
    """Return the JSON Schema of the records of the transactions topic."""
    required = {schema.transaction_id, schema.event_time, *schema.keys}
    required |= {field.name for field in schema.fields if field.required}
    properties = {
        field.name: _property(schema, field, is_required=field.name in required)
        for field in schema.fields
    }
    return {
        "$schema": _DIALECT,
        "title": "transaction",
        "description": (
            f"The record's key is the text of {schema.keys[0]!r}, in UTF-8. "
            "Fields that are not named here are ignored."
        ),
        "type": "object",
        "required": [field.name for field in schema.fields if field.name in required],
        "properties": properties,
    }


def label_record_schema(schema: EventSchema, keys: Sequence[str]) -> dict[str, Any]:
    """Return the JSON Schema of the records of the labels topic.

    Parameters
    ----------
    schema
        Of the transactions.
    keys
        The key fields of the entities whose windows look at labels.
    """
    return transaction_schema(label_schema(schema, keys)) | {
        "title": "label",
        "description": (
            "Says of a transaction whether it was a fraud, and since when that is "
            "known; a later label of the same transaction replaces it. The record may "
            "have any key; labels of one transaction keep their order under one key. "
            "Fields that are not named here are ignored."
        ),
    }


def score_schema() -> dict[str, Any]:
    """Return the JSON Schema of the records of the scores topic."""
    (score,), definitions = msgspec.json.schema_components(
        [GroupedScore], ref_template="#/$defs/{name}"
    )
    body = definitions.pop(score["$ref"].rpartition("/")[2])
    return {"$schema": _DIALECT, **body, "title": "score", "$defs": definitions}


def dead_letter_schema() -> dict[str, Any]:
    """Return the JSON Schema of a dead letter's headers, as an object of texts."""
    properties: dict[str, dict[str, Any]] = {
        name: {"type": "string", "description": sentence}
        for name, sentence in DEAD_LETTER_HEADERS.items()
    }
    properties["dlq.reason"]["enum"] = [reason.value for reason in Reason]
    properties["dlq.payload.truncated"]["enum"] = ["true", "false"]
    for name in ("origin.partition", "origin.offset", "payload.size"):
        properties[f"dlq.{name}"]["pattern"] = "^[0-9]+$"
    properties["dlq.origin.timestamp"]["pattern"] = "^-?[0-9]+$"
    return {
        "$schema": _DIALECT,
        "title": "dead letter headers",
        "description": "Key and value are those of the rejected record, unchanged.",
        "type": "object",
        "required": [name for name in properties if name != "dlq.field"],
        "properties": properties,
    }


def _property(
    schema: EventSchema, field: Field, *, is_required: bool
) -> dict[str, Any]:
    is_identity = field.name in {schema.transaction_id, *schema.keys}
    body = _body(field, is_identity=is_identity)
    if is_required:
        return body
    return {"anyOf": [body, {"type": "null"}]}


def _body(field: Field, *, is_identity: bool) -> dict[str, Any]:
    if field.type == "text":
        least = 1 if is_identity else 0
        return {"type": "string", "minLength": least, "maxLength": field.max_length}
    if field.type == "boolean":
        return {"type": "boolean"}
    if field.type == "time":
        return _time()
    if field.type == "date":
        return {
            "type": "string",
            "pattern": _DATE_PATTERN,
            "description": "A day of the calendar, as 1985-03-07.",
        }
    if field.type == "integer":
        return _integer(field, is_identity=is_identity)
    return _decimal(field)


def _integer(field: Field, *, is_identity: bool) -> dict[str, Any]:
    low, high = bounds_of(field)
    if is_identity and field.minimum is None and field.maximum is None:
        low, high = MISSING + 1, -(MISSING + 1)
    return {
        "type": "integer",
        "minimum": low,
        "maximum": high,
        "description": "Written without fraction and exponent.",
    }


def _decimal(field: Field) -> dict[str, Any]:
    low, high = bounds_of(field)
    if field.encoding == "minor":
        return {
            "type": "integer",
            "minimum": low,
            "maximum": high,
            "description": f"In units of 10**-{field.decimals}, without fraction.",
        }
    if field.encoding == "text":
        # At least one digit behind the point; beyond the declared ones, only zeros.
        fraction = rf"(\.(?=[0-9])[0-9]{{0,{field.decimals}}}0*)?"
        return {
            "type": "string",
            "pattern": f"^-?(0|[1-9][0-9]*){fraction}$",
            "description": f"From {low} to {high} in units of 10**-{field.decimals}.",
        }
    scale = 10**field.decimals
    return {
        "type": "number",
        "minimum": low / scale,
        "maximum": high / scale,
        "description": f"At most {field.decimals} decimals.",
    }


def _time() -> dict[str, Any]:
    return {
        "description": (
            "RFC 3339 with offset, or milliseconds since 1970 UTC; from 2000 to 2099."
        ),
        "anyOf": [
            {"type": "string", "pattern": _TIME_PATTERN},
            {"type": "integer", "minimum": FIRST_MS, "exclusiveMaximum": END_MS},
        ],
    }
