"""Generated records: valid, nearly valid, and not at all."""

from __future__ import annotations

import json

from hypothesis import strategies as st

from tests.codec_builders import EVENT_TIME_MS, schema
from worker.records import Field

#: A schema with every type of field, required and optional.
EVERY_TYPE = schema(
    Field("items", "integer", required=False, minimum=-5, maximum=10**6),
    Field("is_online", "boolean", required=False),
    Field("fee", "decimal", decimals=3, encoding="text", required=False, maximum=100),
    Field("tip", "decimal", decimals=2, encoding="minor", required=False),
    Field("opened", "time", required=False),
    Field("note", "text", required=False, max_length=5),
    Field("born", "date", required=False),
)

NAMES = [field.name for field in EVERY_TYPE.fields]

#: JSON texts by the kind of field that they are meant for.
_TEXTS = [
    '"596"', '"é"', '"\\u00e9"', '"\\ud83d\\ude00"', '""', '"12345"', '"123456"',
    '"a\\u0000"', '"\\ud800"', '"' + "x" * 64 + '"', '"' + "x" * 65 + '"',
]  # fmt: skip
_NUMBERS = [
    "0", "-0", "-0.0", "7", "57.16", "57.161", "57.160", "1e2", "5e-1", "-5", "-6",
    "0.001", "1000000", "1000000.01", "1000001", "1e999", "-1e-400", "2.0", "1" * 30,
    "9223372036854775807", "9223372036854775808", "-9223372036854775808",
    "18446744073709551616", "1000000000000", "1000000000001",
]  # fmt: skip
_DECIMALS = [
    '"5.25"', '"-0.001"', '"0.1230"', '"0.1234"', '"100"', '"100.001"', '"1e2"', '"07"',
    '"-"', '"1."', '""', '"-0"', '"10000000000000"', '"9999999999999999999.1234"',
]  # fmt: skip
_TIMES = [
    '"2018-07-25T00:00:31Z"', '"2018-07-25 00:00:31.123456+02:00"',
    '"2018-07-25T00:00:31"', '"2018-02-30T00:00:31Z"', '"9999-12-31T23:59:59Z"',
    '"1999-01-01T00:00:00Z"', '"2018-07-25T00:00:60Z"', '"2018-07-25T00:00:31+24:00"',
    str(EVENT_TIME_MS), str(EVENT_TIME_MS // 1000), str(EVENT_TIME_MS * 1000),
    str(EVENT_TIME_MS * 10**6), "0", "-1", "9223372036854775808", "1e12",
]  # fmt: skip
_DATES = [
    '"1985-03-07"', '"2000-02-29"', '"1900-02-29"', '"2018-13-01"', '"0000-01-01"',
    '"1985-3-7"', '"1985-03-07Z"', '"1985-03-07T00:00:00Z"', '"19850307"',
    '"\\u0663985-03-07"', '"é985-03-0"',
]  # fmt: skip
_OTHERS = [
    "true", "false", "null", "null", "[]", "{}", '[1,{"a":"b"}]', "[" * 70 + "]" * 70,
    "tru", "", "{", "]", ",", '"', "[1,]", "01", "1.", "NaN",
]  # fmt: skip

_GOOD = {
    "transaction_id": '"8412"',
    "event_time": '"2018-07-25T00:00:31Z"',
    "customer_id": '"596"',
    "terminal_id": '"3156"',
    "amount": "57.16",
    "items": "3",
    "is_online": "true",
    "fee": '"1.5"',
    "tip": "250",
    "opened": str(EVENT_TIME_MS),
    "note": '"a"',
    "born": '"1985-03-07"',
}


_TEXT_FIELDS = st.one_of(st.sampled_from(_TEXTS), st.text(max_size=20).map(json.dumps))
_NUMBER_FIELDS = st.one_of(
    st.sampled_from(_NUMBERS),
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(json.dumps),
    st.decimals(-1, 1_000_001, places=2).map(lambda number: format(number, "f")),
)
_DECIMAL_FIELDS = st.one_of(
    st.sampled_from(_DECIMALS),
    st.decimals(-10, 101, places=3).map(lambda number: f'"{number:f}"'),
)
_TIME_FIELDS = st.one_of(
    st.sampled_from(_TIMES),
    st.datetimes().map(lambda at: json.dumps(at.isoformat() + "Z")),
)
_DATE_FIELDS = st.one_of(
    st.sampled_from(_DATES), st.dates().map(lambda day: f'"{day}"')
)
_BY_NAME = {
    "born": _DATE_FIELDS,
    "event_time": _TIME_FIELDS,
    "opened": _TIME_FIELDS,
    "amount": _NUMBER_FIELDS,
    "items": _NUMBER_FIELDS,
    "tip": _NUMBER_FIELDS,
    "fee": _DECIMAL_FIELDS,
    "is_online": st.sampled_from(["true", "false", "1"]),
}


def json_texts(name: str) -> st.SearchStrategy[str]:
    """What may stand for a field: mostly of its kind, sometimes of another, or none."""
    own = _BY_NAME.get(name, _TEXT_FIELDS)
    others = st.sampled_from(_TEXTS + _NUMBERS + _DECIMALS + _TIMES + _DATES + _OTHERS)
    return st.one_of(own, own, own, others)


@st.composite
def records(draw: st.DrawFn) -> bytes:
    """A record: a good one with some fields replaced, repeated, removed, reordered."""
    members = list(_GOOD.items())
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from([*NAMES, "unknown", "é"]))
        change = draw(st.sampled_from(["replace"] * 6 + ["repeat", "remove"]))
        if change != "repeat":
            members = [member for member in members if member[0] != name]
        if change != "remove":
            at = draw(st.integers(0, len(members)))
            members.insert(at, (name, draw(json_texts(name))))
    body = ",".join(f"{json.dumps(name)}:{text}" for name, text in members)
    return f"{{{body}}}".encode(errors="surrogatepass")


@st.composite
def damaged_records(draw: st.DrawFn) -> bytes:
    """A record of which some bytes are lost, repeated or replaced."""
    value = bytearray(draw(records()))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(value)))
        end = draw(st.integers(at, min(len(value), at + 8)))
        value[at:end] = draw(
            st.one_of(
                st.binary(max_size=3),
                st.sampled_from(
                    [b'"', b"\\", b"{", b"}", b",", b":", b"\x00", b"\xff"]
                ),
            )
        )
    return bytes(value)


def anything() -> st.SearchStrategy[bytes | None]:
    """What may come out of a topic."""
    return st.one_of(records(), damaged_records(), st.binary(max_size=40), st.none())
