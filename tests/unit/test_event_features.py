"""Distances, ages and codes at the edges of the globe, a year and a vocabulary."""

from __future__ import annotations

import datetime as dt
import math

import numpy as np
import pytest

from worker.features.calendar import completed_years
from worker.features.categories import CategoryCodes
from worker.features.distances import EARTH_RADIUS_KM, distance_column
from worker.records import MISSING

HALF_WAY_ROUND = round(math.pi * EARTH_RADIUS_KM, 3)


@pytest.mark.parametrize(
    ("one", "other", "kilometres"),
    [
        # Geodesic distances on the ellipsoid are up to half a percent different.
        ((50.8503, 4.3517), (48.8566, 2.3522), 263.976),
        ((40.7128, -74.0060), (51.5074, -0.1278), 5570.230),
        ((-17.7134, 178.065), (-17.7134, -178.065), 409.916),
        ((0.0, -180.0), (0.0, 180.0), 0.0),
        ((0.0, 0.0), (0.0, 180.0), HALF_WAY_ROUND),
        ((90.0, 0.0), (-90.0, 77.0), HALF_WAY_ROUND),
        ((12.5, 45.0), (-12.5, -135.0), HALF_WAY_ROUND),
        ((90.0, 10.0), (90.0, -170.0), 0.0),
        ((math.nan, 0.0), (0.0, 0.0), math.nan),
        ((0.0, 0.0), (0.0, math.nan), math.nan),
    ],
)
def test_distances_are_great_circles(
    one: tuple[float, float], other: tuple[float, float], kilometres: float
) -> None:
    places = [np.array([degrees]) for degrees in (*one, *other)]

    np.testing.assert_allclose(
        distance_column(places, 3), [kilometres], rtol=0, atol=0.0011
    )


def test_distances_have_the_declared_decimals() -> None:
    places = [np.array([degrees]) for degrees in (50.8503, 4.3517, 48.8566, 2.3522)]

    assert distance_column(places, 0).tolist() == [264.0]
    assert distance_column(places, 1).tolist() == [264.0]
    assert distance_column(places, 2).tolist() == [263.98]


@pytest.mark.parametrize(
    ("born", "today", "years"),
    [
        ("2000-06-15", "2018-06-14", 17),
        ("2000-06-15", "2018-06-15", 18),
        ("2000-02-29", "2018-02-28", 17),
        ("2000-02-29", "2018-03-01", 18),
        ("1899-12-31", "2018-12-31", 119),
        ("2018-06-15", "2018-06-15", 0),
        ("2018-06-16", "2018-06-15", math.nan),
    ],
)
def test_an_age_is_counted_in_birthdays(born: str, today: str, years: float) -> None:
    days = (dt.date.fromisoformat(born) - dt.date(1970, 1, 1)).days
    local_ms = (dt.date.fromisoformat(today) - dt.date(1970, 1, 1)).days * 86_400_000
    last_ms = local_ms + 86_399_999

    found = completed_years(np.array([days, days]), np.array([local_ms, last_ms]))

    np.testing.assert_array_equal(found, [years, years])


def test_who_has_no_date_has_no_age() -> None:
    assert np.isnan(completed_years(np.array([MISSING]), np.array([0]))).all()


def test_what_is_unknown_comes_after_the_rarest() -> None:
    codes = CategoryCodes(["food", "fuel"])

    column = codes.column(["fuel", "food", "books", "", None])

    np.testing.assert_array_equal(column, [1.0, 0.0, 2.0, 2.0, math.nan])


def test_integers_are_categories_by_their_digits() -> None:
    codes = CategoryCodes(["5411", "-1"])

    column = codes.column(np.array([-1, 5411, 0, MISSING]))

    np.testing.assert_array_equal(column, [1.0, 0.0, 2.0, math.nan])


def test_an_empty_vocabulary_knows_nothing() -> None:
    assert CategoryCodes([]).column(["food"]).tolist() == [0.0]
