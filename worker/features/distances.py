"""Distances on the globe."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Mean radius of the Earth in kilometres (IUGG, 1980).
EARTH_RADIUS_KM = 6371.0088


def distance_column(places: list[Floats], decimals: int) -> Floats:
    """Return great-circle distances in kilometres, (n,) float64.

    Rounded, so that they are integers of 10**-decimals, which may feed windows, and so
    that the last bit, in which processors differ, has no say. Where a coordinate is
    missing the distance is.

    Parameters
    ----------
    places
        Four (n,) columns in degrees: latitude and longitude of one place, and of the
        other.

    References
    ----------
    Sinnott, "Virtues of the haversine", Sky and Telescope 68 (1984).
    """
    latitude, longitude, other_latitude, other_longitude = places
    kilometres = np.empty(len(latitude))
    _haversine(latitude, longitude, other_latitude, other_longitude, kilometres)
    scale = 10.0**decimals
    return np.rint(kilometres * scale) / scale


@njit(cache=True)
def _haversine(
    latitude: Floats,
    longitude: Floats,
    other_latitude: Floats,
    other_longitude: Floats,
    kilometres: Floats,
) -> None:
    # One by one: a vectorised sine may differ in the last bit with a row's place.
    for row in range(len(kilometres)):
        north = math.radians(latitude[row])
        other_north = math.radians(other_latitude[row])
        east = math.radians(other_longitude[row] - longitude[row])
        chord = (
            math.sin((other_north - north) / 2.0) ** 2
            + math.cos(north) * math.cos(other_north) * math.sin(east / 2.0) ** 2
        )
        # Rounding may lead a hair beyond 1 on opposite sides of the globe. NaN stays.
        chord = min(chord, 1.0)
        kilometres[row] = 2.0 * EARTH_RADIUS_KM * math.asin(math.sqrt(chord))
