"""Times are read strictly, held in milliseconds, and written in one way."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from tests.codec_builders import EVENT_TIME_MS, payload, problem, schema
from worker.codec import Decoder, format_times, parse_times
from worker.records import MISSING, Field, Reason

FIRST_MS = 946_684_800_000
END_MS = 4_102_444_800_000


def read(text: str) -> int | None:
    """Milliseconds of a text, None where it is refused."""
    ms, codes = parse_times(["2018-07-25T00:00:31Z", text])
    assert ms[0] == EVENT_TIME_MS
    if codes is None or not codes[1]:
        return int(ms[1])
    assert ms[1] == MISSING
    return None


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2018-07-25T00:00:31Z", EVENT_TIME_MS),
        ("2018-07-25t00:00:31z", EVENT_TIME_MS),
        ("2018-07-25 00:00:31Z", EVENT_TIME_MS),
        ("2018-07-25T00:00:31+00:00", EVENT_TIME_MS),
        ("2018-07-25T00:00:31-00:00", EVENT_TIME_MS),
        ("2018-07-25T02:00:31+02:00", EVENT_TIME_MS),
        ("2018-07-24T18:15:31-05:45", EVENT_TIME_MS),
        ("2018-07-25T23:59:31+23:59", EVENT_TIME_MS),
        ("2018-07-25T00:00:31.2Z", EVENT_TIME_MS + 200),
        ("2018-07-25T00:00:31.25Z", EVENT_TIME_MS + 250),
        ("2018-07-25T00:00:31.2509999999999999Z", EVENT_TIME_MS + 250),
        ("2018-07-25T00:00:31.0009+00:00", EVENT_TIME_MS),
        ("2018-07-25T00:00:31." + "9" * 5000 + "Z", EVENT_TIME_MS + 999),
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-31T23:59:59.9999Z", -1),
        ("1969-12-31T23:59:59.0001Z", -1000),
        ("2000-02-29T00:00:00Z", 951_782_400_000),
        ("0000-02-29T00:00:00Z", -62_162_121_600_000),
        ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
    ],
)
def test_rfc_3339_is_read_to_the_millisecond_before(text: str, ms: int) -> None:
    assert read(text) == ms


@pytest.mark.parametrize(
    "text",
    [
        "2018-07-25T00:00:60Z",
        "2018-06-30T23:59:60Z",
        "2018-07-25T24:00:00Z",
        "2018-07-25T00:60:00Z",
        "2018-07-32T00:00:00Z",
        "2018-07-00T00:00:00Z",
        "2018-00-25T00:00:00Z",
        "2018-13-25T00:00:00Z",
        "2018-04-31T00:00:00Z",
        "2018-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2018-07-25T00:00:31.Z",
        "2018-07-25T00:00:31,5Z",
        "2018-07-25T00:00:31+0200",
        "2018-07-25T00:00:31+02",
        "2018-07-25T00:00:31+24:00",
        "2018-07-25T00:00:31+02:60",
        "2018-07-25T00:00:31+02:00 ",
        "2018-07-25T00:00:31ZZ",
        "2018-07-25T00:00:31 Z",
        "2018-07-25T00:00:31[Z]",
        "2018-07-25_00:00:31Z",
        "2018-07-25T00:00Z",
        "2018-07-25T0:00:31Z",
        "2018-W30-3T00:00:31Z",
        "20180725T000031Z",
        " 2018-07-25T00:00:31Z",
        "+2018-07-25T00:00:31Z",
        "-018-07-25T00:00:31Z",
        "2018/07/25T00:00:31Z",
        "2018-07-25T00.00.31Z",
        "２018-07-25T00:00:31Z",
        "2018-07-25T00:00:31Ż",
        "Z",
        "\n",
        "\ud800",
    ],
)
def test_whatever_is_not_rfc_3339_is_refused(text: str) -> None:
    assert read(text) is None


def test_every_day_of_four_centuries_is_the_calendars() -> None:
    first = dt.datetime(1890, 1, 1, tzinfo=dt.UTC)
    days = [first + dt.timedelta(days=n, hours=n % 24) for n in range(146_097)]
    texts = [day.isoformat() for day in days]
    wanted = np.array([round(day.timestamp() * 1000) for day in days])

    ms, codes = parse_times(texts)

    assert codes is None
    np.testing.assert_array_equal(ms, wanted)
    assert format_times(ms) == [text.replace("+00:00", "Z") for text in texts]


def test_a_day_that_a_month_does_not_have_is_refused() -> None:
    for year in (1999, 2000, 2023, 2024, 2100):
        for month in range(1, 13):
            for day in range(1, 32):
                try:
                    dt.date(year, month, day)
                    exists = True
                except ValueError:
                    exists = False
                text = f"{year}-{month:02}-{day:02}T00:00:00Z"
                assert (read(text) is not None) == exists


def test_times_are_written_in_utc_with_milliseconds_where_there_are_any() -> None:
    ms = np.array([EVENT_TIME_MS, EVENT_TIME_MS + 7, EVENT_TIME_MS + 250])

    assert format_times(ms) == [
        "2018-07-25T00:00:31Z",
        "2018-07-25T00:00:31.007Z",
        "2018-07-25T00:00:31.250Z",
    ]


def test_no_times_are_no_texts() -> None:
    assert format_times(np.array([], np.int64)) == []
    assert parse_times([])[0].tolist() == []


@pytest.mark.parametrize("at", [FIRST_MS, END_MS - 1])
def test_the_first_and_the_last_plausible_time(at: int) -> None:
    (text,) = format_times(np.array([at]))

    assert problem(payload(event_time=at)) is None
    assert problem(payload(event_time=text)) is None


def test_numbers_and_texts_may_be_mixed_in_one_batch() -> None:
    of = schema(Field("opened", "time", required=False))
    decoder = Decoder(of, key_is_entity=None)
    values = [
        payload(event_time=EVENT_TIME_MS, opened="1969-12-31T23:59:59Z"),
        payload(opened=EVENT_TIME_MS),
        payload(opened=None),
        payload(event_time=EVENT_TIME_MS // 1000),
        payload(opened="2018-07-25T00:00:31"),
        payload(opened=1),
        payload(event_time="?", opened="?"),
    ]

    decoded = decoder.decode([None] * 7, values, [-1] * 7)

    assert decoded.events.event_time_ms.tolist() == [EVENT_TIME_MS] * 3
    assert list(decoded.events.columns["opened"]) == [-1000, EVENT_TIME_MS, MISSING]
    assert [tuple(r) for r in decoded.rejections] == [
        (3, Reason.TIME_UNIT, "event_time"),
        (4, Reason.TIME_WITHOUT_OFFSET, "opened"),
        (5, Reason.OUT_OF_RANGE, "opened"),
        (6, Reason.BAD_TIME, "event_time"),
    ]


def test_a_time_that_is_not_the_events_may_lie_before_2000() -> None:
    of = schema(Field("born", "time"))
    good = payload(born="1961-04-12T06:07:00Z")

    assert problem(good, of=of, good=good) is None
