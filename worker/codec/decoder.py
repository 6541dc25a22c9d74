"""Records of the input topic to events, and the reasons of those that are none.

Several problems in one record: the first of this list is named.

1. the envelope: tombstone, empty, too large, schema-registry framing, too deep, UTF-8
2. the syntax: not JSON (nor is a byte order mark, or half of a surrogate pair); not an
   object
3. each field in declared order: missing, null, of the wrong type, text too long or
   empty, a number too large to be held
4. each field's value in declared order: out of range, too many decimals, not a time, a
   time without offset, in another unit
5. the record's key: none, or not the payload's
6. event time ahead of the record's timestamp

Of a key that comes twice in an object the last counts. Fields that the schema does not
name are skipped, as long as they are JSON. Numbers that people wonder about:

=============  =============  =============  ==========
written        decimal        integer, time  text
=============  =============  =============  ==========
NaN, Infinity  not_json       not_json       not_json
1e999          out_of_range   wrong_type     wrong_type
2**64          out_of_range   out_of_range   wrong_type
1.0, 1e2       accepted       wrong_type     wrong_type
"1.0"          wrong_type     wrong_type     accepted
true           wrong_type     wrong_type     wrong_type
=============  =============  =============  ==========

A decimal whose encoding is text accepts only "1.0", one in minor units is an integer;
a time may be an RFC 3339 text, a date is always one: "1985-03-07". Decimals written as
numbers are read as binary64, so digits beyond its precision do not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from worker.codec.columns import ColumnChecks
from worker.codec.envelope import check_envelopes
from worker.codec.parsing import Parser
from worker.codec.verdict import WHOLE_RECORD, Codes, Verdict, code_of, rejection
from worker.records import Decoded, EventBatch, EventSchema, Reason, Rejection

#: Bytes of a record's value that are read as JSON at most.
MAX_VALUE_BYTES = 64 * 1024

_Item = TypeVar("_Item")


class Decoder:
    """Decodes records whose values are JSON objects of one schema.

    Parameters
    ----------
    key_is_entity
        The record's key must be the UTF-8 of this entity's key in the payload, or
        events would meet the wrong state. None: keys are not looked at (files), nor
        where the schema says `rekey`.
    max_value_bytes
        Longer values are rejected unread.

    Raises
    ------
    InvalidConfig
        When a field has a name that cannot be a key in JSON without escapes.
    """

    def __init__(
        self,
        schema: EventSchema,
        *,
        key_is_entity: int | None = 0,
        max_value_bytes: int = MAX_VALUE_BYTES,
    ) -> None:
        self._schema = schema
        self._max_value_bytes = max_value_bytes
        self._parser = Parser(schema)
        self._lists_of = _slot_reader(self._parser.slots)
        self._checks = ColumnChecks(schema)
        is_keyed = key_is_entity is not None and not schema.rekey
        self._key_field = schema.keys[key_is_entity or 0] if is_keyed else None

    def decode(
        self,
        keys: Sequence[bytes | None],
        values: Sequence[bytes | None],
        timestamps_ms: Sequence[int],
    ) -> Decoded:
        """Decode n records; each becomes one event or one rejection, in order.

        Whether and how a record is accepted depends on nothing but that record.
        `timestamps_ms` are -1 where a record has none.
        """
        objects, rows, rejections = self._parse(values)
        verdict = Verdict(len(rows))
        events = self._checks.build(self._lists_of(objects), verdict)
        is_whole = len(rows) == len(values)
        self._check_key(keys if is_whole else _pick(keys, rows), events, verdict)
        self._check_ahead(
            timestamps_ms if is_whole else _pick(timestamps_ms, rows), events, verdict
        )
        decoded = verdict.split(events, rows=rows, names=self._checks.names)
        if not rejections:
            return decoded
        rejections.extend(decoded.rejections)
        return Decoded(decoded.events, decoded.rows, sorted(rejections))

    def _parse(
        self, values: Sequence[bytes | None]
    ) -> tuple[list[Any], NDArray[np.intp], list[Rejection]]:
        """Return an object for each row that is JSON of the right shape."""
        rows = np.arange(len(values), dtype=np.intp)
        rejections: list[Rejection] = []
        codes = check_envelopes(values, max_value_bytes=self._max_value_bytes)
        if codes is not None:
            rejections += self._rejections(codes)
            rows = np.flatnonzero(codes == 0)
            values = _pick(values, rows)
        # The envelope lets no tombstone through.
        objects, malformed = self._parser.parse(cast("Sequence[bytes]", values))
        if malformed:
            rejections += [
                rejection(
                    int(rows[m.position]), m.code, m.field_index, self._checks.names
                )
                for m in malformed
            ]
            rows = np.delete(rows, [m.position for m in malformed])
        return objects, rows, rejections

    def _rejections(self, codes: Codes) -> list[Rejection]:
        return [
            rejection(row, int(codes[row]), WHOLE_RECORD, ())
            for row in np.flatnonzero(codes).tolist()
        ]

    def _check_key(
        self, keys: Sequence[bytes | None], events: EventBatch, verdict: Verdict
    ) -> None:
        if self._key_field is None:
            return
        expected: Any = events.columns[self._key_field]
        encoded = list(map(str.encode, expected))
        if encoded == keys:
            return
        codes = [
            0 if key == wanted else _MISMATCH if key else _NO_KEY
            for key, wanted in zip(keys, encoded, strict=True)
        ]
        field_index = self._checks.names.index(self._key_field)
        verdict.add(np.array(codes, np.uint8), field_index)

    def _check_ahead(
        self, timestamps_ms: Sequence[int], events: EventBatch, verdict: Verdict
    ) -> None:
        stamps = np.fromiter(timestamps_ms, np.int64, len(timestamps_ms))
        # The other way round a stamp near the end of 64 bits would overflow.
        latest = events.event_time_ms - self._schema.max_ahead_ms
        is_ahead = (latest > stamps) & (stamps >= 0)
        if np.count_nonzero(is_ahead):
            field_index = self._checks.names.index(self._schema.event_time)
            verdict.add(is_ahead * np.uint8(_AHEAD), field_index)


_NO_KEY = code_of(Reason.NO_KEY)
_MISMATCH = code_of(Reason.KEY_MISMATCH)
_AHEAD = code_of(Reason.TIME_AHEAD)


def _slot_reader(slots: Sequence[str]) -> Callable[[list[Any]], list[list[Any]]]:
    """Return a function from objects to a list for each slot.

    Made of source, since a comprehension that names its attribute takes half of the
    time of `attrgetter`; the names are the parser's own f0, f1, ...
    """
    parts = ", ".join(f"[row.{slot} for row in rows]" for slot in slots)
    reader: Callable[[list[Any]], list[list[Any]]] = eval(  # noqa: S307
        f"lambda rows: [{parts}]", {}
    )
    return reader


def _pick(items: Sequence[_Item], rows: NDArray[np.intp]) -> list[_Item]:
    return [items[row] for row in rows.tolist()]
