"""Which chapter is home, and why: the map of ZIPs that follows from what chapters claim, and the order of precedence.

`settle` and `home` are pure. Claims overlap: the most specific kind wins (ZIP, county, radius, state), among several of one
kind the nearest chapter. Of a person, what staff or she herself decided outweighs where she lives. `remake` writes the map,
`rehome` the homes, with a history.

Whoever routes people by the map holds it (`hold`): it does not change before they have committed, so that nobody who was
routed by the old one is overlooked when the people of a new one are moved.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from math import inf
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.errors import NotFound
from engine.events import ChapterChanged
from engine.people.distance import MILES_A_DEGREE, Point, latitude, middle, miles, point, said

_HOLD = text("SELECT pg_advisory_xact_lock_shared(:lock)")
_ALONE = text("SELECT pg_advisory_xact_lock(:lock)")
MAP_LOCK = 0x67726D70
REMAKING_LOCK = 0x67726D71
UNCONFIRMED = "unconfirmed"  # instead of a reason: she has no home before she has said that it was she who signed up

_PLACES = text("SELECT zip, county, state, latitude, longitude FROM zip")
_CLAIMS = text("SELECT chapter_id, kind, place, miles FROM territory")
_SEATS = text("SELECT id, latitude, longitude FROM chapter")

_DRAW = text("""
WITH v AS MATERIALIZED (
    SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS v(zip text, chapter_id bigint, by text, "on" text)
), gone AS (
    DELETE FROM zip_route r WHERE NOT EXISTS (SELECT FROM v WHERE v.zip = r.zip) RETURNING r.zip
), put AS (
    INSERT INTO zip_route AS r (zip, chapter_id, by, "on")
    SELECT v.zip, v.chapter_id, v.by, v."on" FROM v LEFT JOIN zip_route o ON o.zip = v.zip
    WHERE (o.chapter_id, o.by, o."on") IS DISTINCT FROM (v.chapter_id, v.by, v."on") ORDER BY v.zip
    ON CONFLICT (zip) DO UPDATE SET chapter_id = excluded.chapter_id, by = excluded.by, "on" = excluded."on"
    RETURNING r.zip
)
SELECT zip FROM gone UNION ALL SELECT zip FROM put ORDER BY zip
""")

# Whose a state is when nothing but the state is known: of several that claim it, the smallest id.
STATE_ROUTES = "SELECT place, min(chapter_id) AS chapter_id FROM territory WHERE kind = 'state' GROUP BY place"
ROOT = "SELECT min(id) AS id FROM chapter WHERE parent_id IS NULL"

_LOCK = text("SELECT id FROM contact WHERE id = ANY(:ids) ORDER BY email, id FOR NO KEY UPDATE")

_FACTS = text(f"""
SELECT c.id, c.chapter_id, c.routed_by, c.routed_on, c.placed_chapter_id AS placed, c.chosen_chapter_id AS chosen,
    c.chosen_by, c.entity_chapter_id AS entity, c.zip, z.zip IS NOT NULL AS zip_known, r.chapter_id AS zip_chapter_id, r.by,
    r."on", s.chapter_id AS state_chapter_id, s.place AS state, root.id AS root
FROM contact c
LEFT JOIN zip z ON z.zip = c.zip
LEFT JOIN zip_route r ON r.zip = c.zip
LEFT JOIN ({STATE_ROUTES}) s ON s.place = upper(btrim(c.state))
CROSS JOIN ({ROOT}) root
WHERE c.id = ANY(:ids) AND c.merged_into_id IS NULL AND c.erased_at IS NULL
ORDER BY c.id
""")

_MOVE = text("""
WITH v AS MATERIALIZED (
    SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS v(contact_id bigint, from_id bigint, chapter_id bigint, by text,
        "on" text, stays boolean)
), moved AS (
    UPDATE contact c SET chapter_id = v.chapter_id, routed_by = v.by, routed_on = v."on"
    FROM v WHERE c.id = v.contact_id
        AND (c.chapter_id, c.routed_by, c.routed_on) IS DISTINCT FROM (v.chapter_id, v.by, v."on")
)
INSERT INTO chapter_move (contact_id, from_chapter_id, to_chapter_id, by, "on", at, staff_id)
SELECT contact_id, from_id, chapter_id, by, "on", :now, CAST(:staff_id AS bigint) FROM v WHERE NOT stays ORDER BY contact_id
""")


@dataclass(frozen=True, slots=True)
class Route:
    """A home chapter with its reason: `by` staff, choice, entity, zip, county, radius, state or root; `on` what decided
    ("01604", "MA:Worcester County", "12 miles", "MA"; of a choice, that it was made at a "gathering")."""

    chapter_id: int | None
    by: str
    on: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """A ZIP and where it lies, in degrees; nought and nought when nobody knows."""

    zip: str
    county: str = ""
    state: str = ""
    latitude: float = 0.0
    longitude: float = 0.0


@dataclass(frozen=True, slots=True)
class Claim:
    """What a chapter claims, as in `territory`."""

    chapter_id: int
    kind: str
    place: str = ""
    miles: int = 0


@dataclass(frozen=True, slots=True)
class Seat:
    """Where a chapter meets, in degrees; None: in the middle of the ZIPs that it claims."""

    chapter_id: int
    latitude: float | None = None
    longitude: float | None = None


def settle(zips: Iterable[Place], claims: Iterable[Claim], chapters: Iterable[Seat]) -> dict[str, Route]:
    """Whose land each ZIP is; one that nobody claims is left out, it is the root's by rule.

    By ZIP claims, then county claims, then the nearest chapter whose radius reaches it, then state claims. Several of one
    kind: the nearest chapter by great circle, then the smaller id; in whatever order anything is given. A ZIP without
    coordinates is within no radius and far from everybody.
    """
    places = {place.zip: place for place in zips}
    claimed: dict[str, dict[str, set[int]]] = {"zip": {}, "county": {}, "state": {}}
    reaching: dict[int, int] = {}
    for claim in claims:
        if claim.kind == "radius":
            reaching[claim.chapter_id] = max(claim.miles, reaching.get(claim.chapter_id, 0))
        else:
            claimed[claim.kind].setdefault(claim.place, set()).add(claim.chapter_id)
    places |= {code: Place(code) for code in claimed["zip"] if code not in places}
    points = {place.zip: point(place.latitude, place.longitude) for place in places.values() if _lies(place)}
    seats = _seats(places.values(), claimed, points, chapters)
    reached = _reached(places, points, reaching, seats)
    settled = {code: _whose(place, claimed, reached, points.get(code), seats) for code, place in places.items()}
    return {code: route for code, route in settled.items() if route is not None}


def _lies(place: Place) -> bool:
    return (place.latitude, place.longitude) != (0, 0)


def _county(place: Place) -> str:
    return f"{place.state}:{place.county}"


def _seats(
    places: Collection[Place],
    claimed: Mapping[str, Mapping[str, set[int]]],
    points: Mapping[str, Point],
    chapters: Iterable[Seat],
) -> dict[int, Point]:
    """Where chapters are: as they say, else in the middle of the ZIPs, or counties, or states, that they claim."""
    known = {
        seat.chapter_id: point(seat.latitude, seat.longitude)
        for seat in chapters
        if seat.latitude is not None and seat.longitude is not None
    }
    for kind, name in (("zip", lambda place: place.zip), ("county", _county), ("state", lambda place: place.state)):
        theirs: dict[int, list[tuple[float, float]]] = defaultdict(list)
        for place in places:
            for chapter_id in claimed[kind].get(name(place), ()):
                if chapter_id not in known and place.zip in points:
                    theirs[chapter_id].append((place.latitude, place.longitude))
        known |= {chapter_id: middle(land) for chapter_id, land in theirs.items()}
    return known


def _reached(
    places: Mapping[str, Place], points: Mapping[str, Point], reaching: Mapping[int, int], seats: Mapping[int, Point]
) -> dict[str, tuple[float, int]]:
    """The ZIPs within any chapter's radius: how many miles from the nearest of these chapters, and which it is.

    Looks only at the band of latitudes that a radius spans.
    """
    northward = sorted((places[code].latitude, code) for code in points)
    latitudes = [north for north, _ in northward]
    nearest: dict[str, tuple[float, int]] = {}
    for chapter_id, radius in reaching.items():
        seat = seats.get(chapter_id)
        if seat is None:
            continue
        north, width = latitude(seat), radius / MILES_A_DEGREE + 1e-6
        for _, code in northward[bisect_left(latitudes, north - width) : bisect_right(latitudes, north + width)]:
            far = miles(points[code], seat)
            if far <= radius:
                nearest[code] = min(nearest.get(code, (inf, 0)), (far, chapter_id))
    return nearest


def _whose(
    place: Place,
    claimed: Mapping[str, Mapping[str, set[int]]],
    reached: Mapping[str, tuple[float, int]],
    where: Point | None,
    seats: Mapping[int, Point],
) -> Route | None:
    for kind, name in (("zip", place.zip), ("county", _county(place)), ("radius", ""), ("state", place.state)):
        if kind == "radius":
            if place.zip in reached:
                far, chapter_id = reached[place.zip]
                return Route(chapter_id, kind, said(far))
        elif rivals := claimed[kind].get(name):
            return Route(min(rivals, key=lambda each: (miles(where, seats.get(each)), each)), kind, name)
    return None


def home(
    *,
    placed: int | None = None,
    chosen: int | None = None,
    chosen_by: str = "",
    entity: int | None = None,
    zip_code: str | None = None,
    zip_known: bool = False,
    zip_route: Route | None = None,
    state_route: Route | None = None,
    root: int | None = None,
) -> Route:
    """The home chapter of one person: where staff placed her, else what she chose, else whose ActBlue entity she gave to,
    else whose land her ZIP is, else (without a ZIP that we know) whose her state is, else the root.

    `chosen_by`: where she chose, as the table has it. `zip_route`: what `settle` says of her ZIP. `zip_known`: whether it is
    a ZIP at all. None: nobody said so.
    """
    for decided, by, on in ((placed, "staff", ""), (chosen, "choice", chosen_by), (entity, "entity", "")):
        if decided is not None:
            return Route(decided, by, on)
    if zip_code is not None and zip_route is not None:
        return zip_route
    if state_route is not None and not (zip_code is not None and zip_known):
        return state_route
    return Route(root, "root", "no ZIP" if zip_code is None else f"no chapter for {zip_code}")


def places(session: Session) -> list[Place]:
    """All ZIPs."""
    return [Place(*row) for row in session.execute(_PLACES)]


def claims(session: Session) -> list[Claim]:
    """All territories as they stand."""
    return [Claim(*row) for row in session.execute(_CLAIMS)]


def seats(session: Session) -> list[Seat]:
    """All chapters, with where they meet."""
    return [Seat(*row) for row in session.execute(_SEATS)]


def remake(session: Session) -> list[str]:
    """Draw the map (`zip_route`) anew, from the chapters, territories and ZIPs as they stand: after any change of these, in
    its transaction. Returns the ZIPs whose route is another now. One at a time; waits for all who hold the map.

    Commit before moving people by it (`hold`): whoever waits for the map may hold their rows.
    """
    session.execute(_ALONE, {"lock": REMAKING_LOCK})
    settled = settle(places(session), claims(session), seats(session))
    drawn = rows({"zip": code} | asdict(route) for code, route in settled.items())
    session.execute(_ALONE, {"lock": MAP_LOCK})
    return list(session.scalars(_DRAW, {"rows": drawn}))


def hold(session: Session) -> None:
    """The map stays as it is until this transaction has ended. To be called before any contact is locked."""
    session.execute(_HOLD, {"lock": MAP_LOCK})


def rehome(
    session: Session, contact_ids: Collection[int], now: datetime, cause: int | None, staff_id: int | None = None
) -> list[ChapterChanged]:
    """Let the homes of these contacts follow from their hints and where they live. Returns whose chapter is another now;
    each of these has a row more in the history (`chapter_move`). Locks the contacts, in the order of addresses.

    As many statements however many contacts. Merged and erased ones are passed by.
    """
    if not contact_ids:
        return []
    hold(session)
    session.execute(_LOCK, {"ids": list(contact_ids)})
    return follow(session, contact_ids, now, cause, staff_id=staff_id)


def follow(
    session: Session,
    contact_ids: Collection[int],
    now: datetime,
    cause: int | None,
    *,
    fresh: Collection[int] = (),
    staff_id: int | None = None,
) -> list[ChapterChanged]:
    """The same for a caller who holds the map and has locked the contacts. `fresh` were made just now, with a home at
    once: that is their first move, and nothing that changed."""
    facts = session.execute(_FACTS, {"ids": list(contact_ids)}).all()
    records = [record for row in facts if (record := _record(row, fresh=row.id in fresh)) is not None]
    if not records:
        return []
    session.execute(_MOVE, {"rows": rows(records), "now": now, "staff_id": staff_id})
    return [
        ChapterChanged(cause, record["contact_id"], record["from_id"], record["chapter_id"], record["by"])
        for record in records
        if not record["stays"] and record["contact_id"] not in fresh
    ]


def due(session: Session, contact_id: int) -> tuple[Route, Route]:
    """Where one contact would belong if she were routed now, and where by where she lives alone. Changes nothing. Raises
    NotFound for nobody, or one who was merged or erased."""
    row = session.execute(_FACTS, {"ids": [contact_id]}).one_or_none()
    if row is None:
        raise NotFound("no such contact")
    return _home(row), _home(row, decided=False)


def _record(row: Row[Any], *, fresh: bool) -> dict[str, Any] | None:
    """What is to be written for this contact: None when nothing is."""
    before = None if fresh else row.chapter_id
    route = _home(row)
    if route == Route(before, row.routed_by, row.routed_on):
        return None
    return asdict(route) | {"contact_id": row.id, "from_id": before, "stays": route.chapter_id == before}


def _home(row: Row[Any], *, decided: bool = True) -> Route:
    return home(
        placed=row.placed if decided else None,
        chosen=row.chosen if decided else None,
        chosen_by=row.chosen_by,
        entity=row.entity if decided else None,
        zip_code=row.zip,
        zip_known=row.zip_known,
        zip_route=None if row.zip_chapter_id is None else Route(row.zip_chapter_id, row.by, row.on),
        state_route=None if row.state_chapter_id is None else Route(row.state_chapter_id, "state", row.state),
        root=row.root,
    )
