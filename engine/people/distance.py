"""Distances on the earth: great circles, in miles. Pure."""

from collections.abc import Sequence
from math import asin, cos, dist, fsum, inf, radians, sin

EARTH_MILES = 3958.7613  # the mean radius of the earth (IUGG)
MILES_A_DEGREE = EARTH_MILES * radians(1)  # of latitude

Point = tuple[float, float, float]  # on a ball of radius 1


def point(latitude: float, longitude: float) -> Point:
    """Where these degrees are."""
    north, east = radians(latitude), radians(longitude)
    return (cos(north) * cos(east), cos(north) * sin(east), sin(north))


def latitude(where: Point) -> float:
    """In degrees."""
    return asin(max(-1.0, min(1.0, where[2]))) / radians(1)


def miles(one: Point | None, other: Point | None) -> float:
    """By great circle; endless when either lies nowhere."""
    if one is None or other is None:
        return inf
    return 2 * EARTH_MILES * asin(min(1.0, dist(one, other) / 2))


def middle(degrees: Sequence[tuple[float, float]]) -> Point:
    """The mean of these latitudes and longitudes; summed exactly, so that their order does not matter."""
    norths, easts = zip(*degrees, strict=True)
    return point(fsum(norths) / len(norths), fsum(easts) / len(easts))


def said(far: float) -> str:
    """So many miles, as one says it: "12 miles"."""
    whole = round(far)
    return "less than a mile" if whole == 0 else "1 mile" if whole == 1 else f"{whole} miles"
