"""The map of ZIPs: every ZIP of Massachusetts against a router written in another way, and what holds for any map."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import acos, atan2, cos, radians, sin, sqrt
from statistics import fmean
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.demo_organisation import FILE
from engine.people import routing
from engine.people.distance import miles, point, said
from engine.people.routing import Claim, Place, Route, Seat, home, settle

RANKS = ("zip", "county", "radius", "state")
ANY = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


# Another router: every claim is held against every ZIP, and the best is taken. Slow, and easy to believe.


def haversine(a: Sequence[float], b: Sequence[float]) -> float:
    (north, east), (other_north, other_east) = map(radians, a), map(radians, b)
    h = sin((other_north - north) / 2) ** 2 + cos(north) * cos(other_north) * sin((other_east - east) / 2) ** 2
    return 2 * 3958.7613 * atan2(sqrt(h), sqrt(1 - h))


def covers(claim: Claim, place: Place) -> bool:
    return claim.place == {"zip": place.zip, "county": f"{place.state}:{place.county}", "state": place.state}.get(
        claim.kind
    )


def located(place: Place) -> tuple[float, float] | None:
    return (place.latitude, place.longitude) if place.latitude or place.longitude else None


def seat_of(seat: Seat, claims: Sequence[Claim], places: Iterable[Place]) -> tuple[float, float] | None:
    if seat.latitude is not None and seat.longitude is not None:
        return (seat.latitude, seat.longitude)
    for kind in ("zip", "county", "state"):
        mine = [claim for claim in claims if claim.chapter_id == seat.chapter_id and claim.kind == kind]
        land = [where for p in places if (where := located(p)) and any(covers(claim, p) for claim in mine)]
        if land:
            return (fmean(north for north, _ in land), fmean(east for _, east in land))
    return None


def brute(places: Sequence[Place], claims: Sequence[Claim], seats: Iterable[Seat]) -> dict[str, tuple[int, str]]:
    """Chapter and kind of each ZIP that anybody claims."""
    known = {seat.chapter_id: seat_of(seat, claims, places) for seat in seats}
    found = {}
    for place in places:
        best = []
        for claim in claims:
            here, there = located(place), known.get(claim.chapter_id)
            far = haversine(here, there) if here and there else float("inf")
            if covers(claim, place) or (claim.kind == "radius" and far <= claim.miles):
                best.append((RANKS.index(claim.kind), far, claim.chapter_id))
        if best:
            rank, _, chapter_id = min(best)
            found[place.zip] = (chapter_id, RANKS[rank])
    return found


def decided(settled: Mapping[str, Route]) -> dict[str, tuple[int | None, str]]:
    return {code: (route.chapter_id, route.by) for code, route in settled.items()}


def of_massachusetts(session: Session) -> list[Place]:
    found = [place for place in routing.places(session) if place.state == "MA"]
    assert len(found) > 700
    return found


def test_every_zip_of_massachusetts_belongs_to_the_chapter_whose_city_it_is_in(session: Session):
    chapters = yaml.safe_load(FILE.read_text("utf-8"))["chapters"]
    whose = {city: chapter["slug"] for chapter in chapters for city in chapter.get("cities", ())}
    cities = session.execute(text("SELECT zip, city FROM zip WHERE state = 'MA'"))
    expected = {row.zip: whose[row.city] for row in cities if row.city in whose}
    drawn = session.execute(text("SELECT r.*, c.slug FROM zip_route r JOIN chapter c ON c.id = r.chapter_id")).all()
    assert {row.zip: row.slug for row in drawn if row.by == "zip"} == expected
    assert all(row.on == row.zip for row in drawn if row.by == "zip")
    assert {row.by for row in drawn} == {"zip", "county", "radius"}


def everything_claimed(session: Session) -> tuple[list[Claim], list[Seat]]:
    """The invented organisation, with counties, radii and the state on top, some of them claimed several times."""
    chance = random.Random(4)
    claims, seats = routing.claims(session), routing.seats(session)
    ids = sorted(seat.chapter_id for seat in seats)[1:]
    counties = sorted({f"MA:{place.county}" for place in of_massachusetts(session)})
    claims = chance.sample(claims, len(claims) // 2)
    claims += [Claim(id_, "county", county) for id_ in ids for county in chance.sample(counties, 2)]
    claims += [Claim(id_, "radius", "", chance.choice([5, 12, 25])) for id_ in ids[::2]]
    claims += [Claim(id_, "state", "MA") for id_ in ids[1::4]]
    land = of_massachusetts(session)
    moved = {id_: chance.choice(land) for id_ in ids[::3]}
    return claims, [
        replace(seat, latitude=at.latitude + 0.013, longitude=at.longitude - 0.017)
        if (at := moved.get(seat.chapter_id))
        else seat
        for seat in seats
    ]


def test_every_zip_of_massachusetts_is_settled_as_another_router_settles_it(session: Session):
    claims, seats = everything_claimed(session)
    places = of_massachusetts(session)
    settled = decided(settle(places, claims, seats))
    assert settled == brute(places, claims, seats)
    assert {by for _, by in settled.values()} == set(RANKS)
    assert len({chapter for chapter, _ in settled.values()}) > 8


def test_the_map_of_massachusetts_is_drawn_as_another_router_would_and_only_once(session: Session):
    claims, seats = everything_claimed(session)
    session.execute(text("DELETE FROM territory"))
    for claim in set(claims):
        session.execute(
            text("INSERT INTO territory (chapter_id, kind, place, miles) VALUES (:chapter_id, :kind, :place, :miles)"),
            {name: getattr(claim, name) for name in Claim.__slots__},
        )
    for seat in seats:
        session.execute(
            text("UPDATE chapter SET latitude = :latitude, longitude = :longitude WHERE id = :chapter_id"),
            {name: getattr(seat, name) for name in Seat.__slots__},
        )
    assert len(routing.remake(session)) > 500
    assert routing.remake(session) == []
    drawn = session.execute(
        text("SELECT zip, chapter_id, by FROM zip_route r JOIN zip z USING (zip) WHERE state = 'MA'")
    )
    assert {row.zip: (row.chapter_id, row.by) for row in drawn} == brute(of_massachusetts(session), claims, seats)


@pytest.mark.parametrize(
    ("a", "b", "far"),
    [((42.3601, -71.0589), (42.2626, -71.8023), 38.6), ((40.7128, -74.0060), (34.0522, -118.2437), 2445.6),
     ((42.0, -72.0), (42.0, -72.0), 0.0), ((0.0, 179.5), (0.0, -179.5), 69.1)],
)  # fmt: skip
def test_miles_are_those_of_the_great_circle(a: tuple[float, float], b: tuple[float, float], far: float):
    assert miles(point(*a), point(*b)) == pytest.approx(far, abs=0.06)
    assert miles(point(*a), point(*b)) == pytest.approx(haversine(a, b), abs=1e-6)


@pytest.mark.parametrize(
    ("far", "words"), [(0.2, "less than a mile"), (0.6, "1 mile"), (1.4, "1 mile"), (11.7, "12 miles")]
)
def test_a_distance_is_said_as_one_would(far: float, words: str):
    assert said(far) == words


# What holds for any map. Seats are given: a chapter without one sits in the middle of its land, and moves with it.

GRID = st.integers(-3, 3).map(lambda step: step * 0.21)
PLACES = st.lists(
    st.builds(
        Place, st.integers(1, 12).map(lambda n: f"{n:05}"), st.sampled_from(["North", "South"]),
        st.sampled_from(["MA", "NH"]), GRID.map(lambda step: 42 + step), GRID.map(lambda step: step - 72),
    ) | st.builds(Place, st.integers(20, 22).map(lambda n: f"{n:05}"), st.just("North"), st.just("MA")),
    unique_by=lambda place: place.zip, max_size=14,
)  # fmt: skip
CHAPTERS = st.integers(1, 6)
CLAIMS = st.lists(
    st.builds(Claim, CHAPTERS, st.just("zip"), st.integers(1, 22).map(lambda n: f"{n:05}"))
    | st.builds(Claim, CHAPTERS, st.just("county"), st.sampled_from(["MA:North", "MA:South", "NH:North"]))
    | st.builds(Claim, CHAPTERS, st.just("radius"), st.just(""), st.integers(1, 60))
    | st.builds(Claim, CHAPTERS, st.just("state"), st.sampled_from(["MA", "NH"])),
    max_size=16,
)
SEATS = st.lists(
    st.builds(Seat, CHAPTERS, GRID.map(lambda step: 42.07 + step), GRID.map(lambda step: step - 71.95)),
    unique_by=lambda seat: seat.chapter_id,
)


@ANY
@given(PLACES, CLAIMS, SEATS, st.randoms(use_true_random=False))
def test_the_order_in_which_anything_is_given_does_not_matter(places, claims, seats, order):
    shuffled = [order.sample(each, len(each)) for each in (places, claims, seats)]
    assert settle(*shuffled) == settle(places, claims, seats)
    assert settle(places, claims + claims, seats) == settle(places, claims, seats)


@ANY
@given(PLACES, CLAIMS, SEATS)
def test_the_most_specific_kind_of_claim_wins(places, claims, seats):
    seated = {seat.chapter_id for seat in seats}
    claims = [claim for claim in claims if claim.chapter_id in seated]
    alone = [settle(places, [claim for claim in claims if claim.kind == kind], seats) for kind in RANKS]
    settled = settle(places, claims, seats)
    for place in places:
        assert settled.get(place.zip) == next((each[place.zip] for each in alone if place.zip in each), None)


@ANY
@given(PLACES, CLAIMS, st.data())
def test_a_claim_that_is_given_up_moves_nobody_but_people_of_that_chapter(places, claims, data):
    seats = [Seat(n, 42 + n / 7, -72 + n / 9) for n in range(1, 7)]
    if not claims:
        return
    gone = data.draw(st.integers(0, len(claims) - 1))
    before, after = settle(places, claims, seats), settle(places, claims[:gone] + claims[gone + 1 :], seats)
    for code in before.keys() | after.keys():
        if before[code].chapter_id != claims[gone].chapter_id:
            assert after[code] == before[code]


@ANY
@given(PLACES, CLAIMS, SEATS)
def test_what_is_settled_is_what_somebody_claims_and_who_has_no_coordinates_is_within_no_radius(places, claims, seats):
    by_zip = {place.zip: place for place in places}
    for code, route in settle(places, claims, seats).items():
        theirs = [claim for claim in claims if (claim.chapter_id, claim.kind) == (route.chapter_id, route.by)]
        assert route.by == "radius" or route.on in {claim.place for claim in theirs}
        assert theirs
        if route.by == "radius":
            assert by_zip[code].latitude != 0


def test_of_chapters_that_are_equally_near_the_elder_one_is_home():
    places = [Place("01604", "Worcester County", "MA", 42.25, -71.77)]
    claims = [Claim(3, "state", "MA"), Claim(2, "state", "MA"), Claim(9, "radius", "", 30), Claim(7, "radius", "", 30)]
    seats = [Seat(id_, 42.3, -71.7) for id_ in (3, 2, 9, 7)]
    assert settle(places, claims[:2], seats) == {"01604": Route(2, "state", "MA")}
    assert settle(places, claims, seats) == {"01604": Route(7, "radius", "5 miles")}


def test_a_zip_that_no_list_knows_is_whose_claims_it():
    assert settle([], [Claim(1, "zip", "99999"), Claim(2, "state", "MA")], []) == {"99999": Route(1, "zip", "99999")}


# The order of precedence.

HINTS = {
    "placed": 1, "chosen": 2, "entity": 3, "zip_route": Route(4, "county", "MA:Worcester County"),
    "state_route": Route(5, "state", "MA"), "root": 6,
}  # fmt: skip
REASONS = ("staff", "choice", "entity", "county", "state", "root")


@given(st.sets(st.sampled_from(sorted(HINTS))), st.sampled_from([None, "01604"]))
def test_a_higher_hint_always_beats_the_lower_ones(present: set[str], zip_code: str | None):
    known: dict[str, Any] = {name: hint for name, hint in HINTS.items() if name in present}
    usable = [name for name in HINTS if name in present and (name != "zip_route" or zip_code)]
    found = home(**known, zip_code=zip_code, zip_known="zip_route" in present)
    if zip_code and "zip_route" in present:
        usable = [name for name in usable if name != "state_route"]
    highest = usable[0] if usable else "root"
    assert found.by == REASONS[list(HINTS).index(highest)]
    hint = HINTS[highest] if usable else None
    assert found.chapter_id == (hint.chapter_id if isinstance(hint, Route) else hint)


def test_the_state_counts_only_for_whom_no_usable_zip_is_known():
    state = Route(5, "state", "MA")
    assert home(state_route=state, root=6) == state
    assert home(zip_code="00000", state_route=state, root=6) == state
    assert home(zip_code="94801", zip_known=True, state_route=state, root=6) == Route(6, "root", "no chapter for 94801")


def test_the_law_of_cosines_agrees_with_both_formulas():
    a, b = (42.3601, -71.0589), (42.1015, -72.5898)
    (north, east), (other_north, other_east) = map(radians, a), map(radians, b)
    third = 3958.7613 * acos(sin(north) * sin(other_north) + cos(north) * cos(other_north) * cos(east - other_east))
    assert miles(point(*a), point(*b)) == pytest.approx(third, abs=1e-3)
