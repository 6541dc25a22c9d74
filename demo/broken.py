"""Broken records of many kinds: each spoils a payment in a way of its own.

The kinds carry the names of the reasons that a worker gives for them. What upstream
systems really send is the model: exports, retries, other languages, other clocks.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

#: One byte more than the 64 KiB that a worker reads.
_TOO_LARGE_BYTES = 65_537

#: Deeper than any payment, and more than a worker reads.
_DEEP_LEVELS = 1_000


class Keyed(NamedTuple):
    """A record to be sent; None where it has no key, or no value."""

    key: bytes | None
    value: bytes | None


class Payment(NamedTuple):
    """A payment as it would be sent: its record, and its fields to be changed."""

    record: Keyed
    fields: dict[str, Any]

    @property
    def text(self) -> bytes:
        """The value, which a payment always has."""
        assert self.record.value is not None
        return self.record.value

    def with_value(self, value: bytes | None) -> Keyed:
        """Return the record with another value."""
        return Keyed(self.record.key, value)

    def having(self, **fields: Any) -> Keyed:
        """Return the record with these fields changed."""
        return self.with_value(orjson.dumps({**self.fields, **fields}))

    def written(self, field: str, literal: bytes) -> Keyed:
        """Return the record with a field's value spelt just so, JSON or not."""
        value = orjson.dumps({**self.fields, field: None})
        name = orjson.dumps(field) + b":"
        return self.with_value(value.replace(name + b"null", name + literal))


def payment(line: bytes) -> Payment:
    """Read a payment of the simulation; its key is its customer."""
    fields = orjson.loads(line)
    return Payment(Keyed(fields["customer_id"].encode(), line), fields)


def spoil(good: Payment, dice: random.Random) -> Keyed:
    """Break a payment in one way, chosen by chance."""
    return KINDS[dice.choice(_NAMES)](good)


def _without(good: Payment, field: str) -> Keyed:
    left = {name: value for name, value in good.fields.items() if name != field}
    return good.with_value(orjson.dumps(left))


def _in_seconds(good: Payment) -> Keyed:
    moment = dt.datetime.fromisoformat(good.fields["event_time"])
    return good.having(event_time=int(moment.timestamp()))


def _tomorrow(good: Payment) -> Keyed:
    moment = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    return good.having(event_time=moment.isoformat(timespec="seconds"))


#: By name, what each kind makes of a payment.
KINDS: MappingProxyType[str, Callable[[Payment], Keyed]] = MappingProxyType(
    {
        "tombstone": lambda good: good.with_value(None),
        "empty": lambda good: good.with_value(b""),
        "too_large": lambda good: good.having(note="x" * _TOO_LARGE_BYTES),
        "schema_framing": lambda good: good.with_value(b"\0\0\0\0\x2a" + good.text),
        "not_utf8": lambda good: good.written("note", b'"caf\xe9"'),
        "not_json": lambda good: good.with_value(good.text[:-20]),
        "not_json, NaN": lambda good: good.written("amount", b"NaN"),
        "too_deep": lambda good: good.written(
            "note", b"[" * _DEEP_LEVELS + b"]" * _DEEP_LEVELS
        ),
        "not_an_object": lambda good: good.with_value(b"[" + good.text + b"]"),
        "no_key": lambda good: Keyed(None, good.text),
        "key_mismatch": lambda good: Keyed(b"somebody else", good.text),
        "missing_field": lambda good: _without(good, "amount"),
        "null_field": lambda good: good.having(customer_id=None),
        "wrong_type": lambda good: good.having(amount=str(good.fields["amount"])),
        "wrong_type, a boolean": lambda good: good.having(amount=True),
        "out_of_range": lambda good: good.having(amount=-1),
        "out_of_range, huge": lambda good: good.having(amount=2**63),
        "out_of_range, infinite": lambda good: good.written("amount", b"1e999"),
        "too_many_decimals": lambda good: good.having(amount=12.345),
        "text_too_long": lambda good: good.having(terminal_id="9" * 200),
        "text_empty": lambda good: good.having(transaction_id=""),
        "bad_time": lambda good: good.having(event_time="2018-02-30T12:00:00Z"),
        "time_without_offset": lambda good: good.having(
            event_time=good.fields["event_time"].rstrip("Z")
        ),
        "time_unit": _in_seconds,
        "time_ahead": _tomorrow,
    }
)

_NAMES = tuple(KINDS)
