"""What land a chapter holds or shall hold: its claims and where it meets. Read, checked against the ZIPs we know, written.

Whose each ZIP then is follows from all claims together: `engine.people.routing`.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.errors import Invalid, NotFound

WIDEST_MILES = 500
_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)
LONGEST_SLUG = 60

ZipCode = Annotated[str, StringConstraints(pattern=r"^[0-9]{5}$")]
County = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}:\S.*$", max_length=80)]
State = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]

_HELD = text("""
SELECT c.slug, c.latitude, c.longitude,
    coalesce(array_agg(t.place ORDER BY t.place) FILTER (WHERE t.kind = 'zip'), '{}') AS zips,
    coalesce(array_agg(t.place ORDER BY t.place) FILTER (WHERE t.kind = 'county'), '{}') AS counties,
    coalesce(array_agg(t.place ORDER BY t.place) FILTER (WHERE t.kind = 'state'), '{}') AS states,
    coalesce(max(t.miles), 0) AS miles
FROM chapter c LEFT JOIN territory t ON t.chapter_id = c.id
WHERE c.slug = ANY(:slugs) GROUP BY c.id
""")
_CHAPTER_IDS = text("SELECT slug, id FROM chapter WHERE slug = ANY(:slugs)")
_CENSUS = text("""
WITH RECURSIVE tree AS (
    SELECT id, parent_id, kind, slug, name, 0 AS level FROM chapter WHERE parent_id IS NULL
    UNION ALL
    SELECT c.id, c.parent_id, c.kind, c.slug, c.name, t.level + 1 FROM chapter c JOIN tree t ON t.id = c.parent_id
)
SELECT t.id, t.parent_id, t.kind, t.slug, t.name,
    (SELECT count(*) FROM zip_route r WHERE r.chapter_id = t.id),
    (SELECT count(*) FROM contact p WHERE p.chapter_id = t.id AND p.merged_into_id IS NULL AND p.erased_at IS NULL)
FROM tree t ORDER BY t.level, t.name
""")
_OWNERS = text("SELECT zip, chapter_id FROM zip_route")
_FINGERPRINT = text("""
SELECT md5(coalesce((SELECT string_agg(concat_ws(' ', chapter_id, kind, place, miles), ';'
        ORDER BY chapter_id, kind, place) FROM territory), '')
    || coalesce((SELECT string_agg(concat_ws(' ', id, latitude, longitude), ';' ORDER BY id) FROM chapter
        WHERE latitude IS NOT NULL), ''))
""")
_UNKNOWN = text("""
SELECT 'ZIP' AS kind, place FROM unnest(CAST(:zips AS text[])) place WHERE NOT EXISTS (SELECT FROM zip WHERE zip = place)
UNION ALL
SELECT 'county', place FROM unnest(CAST(:counties AS text[])) place
WHERE place NOT IN (SELECT state || ':' || county FROM zip WHERE county <> '')
UNION ALL
SELECT 'state', place FROM unnest(CAST(:states AS text[])) place WHERE place NOT IN (SELECT state FROM zip)
""")
_SEATS = text("""
UPDATE chapter c SET latitude = v.latitude, longitude = v.longitude
FROM json_to_recordset(CAST(:rows AS json)) AS v(slug text, latitude float, longitude float)
WHERE c.slug = v.slug AND (c.latitude, c.longitude) IS DISTINCT FROM (v.latitude, v.longitude)
""")
_GIVEN_UP = text("""
DELETE FROM territory t USING chapter c
WHERE c.id = t.chapter_id AND c.slug = ANY(:slugs) AND (c.slug, t.kind, t.place, t.miles) NOT IN (
    SELECT slug, kind, place, miles
    FROM json_to_recordset(CAST(:rows AS json)) AS v(slug text, kind text, place text, miles bigint))
""")
_CLAIMED = text("""
INSERT INTO territory (chapter_id, kind, place, miles)
SELECT c.id, v.kind, v.place, v.miles
FROM json_to_recordset(CAST(:rows AS json)) AS v(slug text, kind text, place text, miles bigint)
JOIN chapter c ON c.slug = v.slug ORDER BY c.id, v.kind, v.place ON CONFLICT DO NOTHING
""")


@dataclass(frozen=True, slots=True)
class Census:
    """A chapter with how many ZIPs are its own by the map and how many people have it for their home."""

    id: int
    parent_id: int | None
    kind: str
    slug: str
    name: str
    zips: int
    people: int


class Land(BaseModel):
    """All that one chapter claims: ZIPs, counties ("MA:Worcester County"), states, a radius in miles (0: none), and where
    it meets in degrees (neither: in the middle of what it claims)."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    zips: tuple[ZipCode, ...] = ()
    counties: tuple[County, ...] = ()
    states: tuple[State, ...] = ()
    miles: int = Field(0, ge=0, le=WIDEST_MILES)
    latitude: float | None = Field(None, ge=-90, le=90, allow_inf_nan=False)
    longitude: float | None = Field(None, ge=-180, le=180, allow_inf_nan=False)

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if (self.latitude is None) != (self.longitude is None):
            raise ValueError("a place has a latitude and a longitude, or neither")
        if self.miles and self.latitude is None and not (self.zips or self.counties or self.states):
            raise ValueError("a radius needs somewhere to be measured from: a latitude and a longitude, or other land")
        return self

    @property
    def claims(self) -> Collection[tuple[str, str, int]]:
        """Its rows in `territory`: kind, place, miles."""
        named = (("zip", self.zips), ("county", self.counties), ("state", self.states))
        listed = {(kind, place, 0) for kind, places in named for place in places}
        return listed | ({("radius", "", self.miles)} if self.miles else set())


class Proposal(BaseModel):
    """The land that each chapter named by its slug shall have, whole; chapters not named keep theirs."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    chapters: Annotated[dict[str, Land], Field(min_length=1)]


def is_slug(written: str) -> bool:
    """Whether a chapter may be called so in addresses: small letters, digits, hyphens between them."""
    return len(written) <= LONGEST_SLUG and _SLUG.fullmatch(written) is not None


def slug_of(name: str) -> str:
    """A short name made of a long one: "Franklin" -> "franklin"."""
    return "-".join(re.findall(r"[a-z0-9]+", name.lower(), re.ASCII))[:LONGEST_SLUG].strip("-")


def held(session: Session, slugs: Collection[str]) -> Mapping[str, Land]:
    """The land of these chapters as it is; those that do not exist are left out."""
    return {
        row.slug: Land(
            zips=tuple(row.zips), counties=tuple(row.counties), states=tuple(row.states), miles=row.miles,
            latitude=row.latitude, longitude=row.longitude,
        )
        for row in session.execute(_HELD, {"slugs": list(slugs)})
    }  # fmt: skip


def chapter_ids(session: Session, slugs: Collection[str]) -> Mapping[str, int]:
    """slug -> id, of those that exist."""
    return {row.slug: row.id for row in session.execute(_CHAPTER_IDS, {"slugs": list(slugs)})}


def owners(session: Session) -> Mapping[str, int]:
    """ZIP -> whose it is by the map as it is drawn."""
    return {row.zip: row.chapter_id for row in session.execute(_OWNERS)}


def census(session: Session) -> list[Census]:
    """All chapters, parents before their children, else by name."""
    return [Census(*row) for row in session.execute(_CENSUS)]


def fingerprint(session: Session) -> str:
    """One word for all land as it is: another one once anybody's changed."""
    return str(session.scalar(_FINGERPRINT))


def unknown(session: Session, lands: Collection[Land]) -> list[tuple[str, str]]:
    """Places in these that we never heard of: ("ZIP", "00000")."""
    values = {
        name: sorted({place for land in lands for place in getattr(land, name)})
        for name in ("zips", "counties", "states")
    }
    return sorted((row.kind, row.place) for row in session.execute(_UNKNOWN, values))


def check(session: Session, proposal: Proposal) -> None:
    """Raises NotFound when it names a chapter that is not there, Invalid when it names a place that is not there."""
    missing = sorted(set(proposal.chapters) - chapter_ids(session, proposal.chapters).keys())
    if missing:
        raise NotFound(f"there is no chapter {', '.join(missing)}")
    if places := unknown(session, proposal.chapters.values()):
        raise Invalid("not known: " + ", ".join(f"{kind} {place}" for kind, place in places[:20]))


def write(session: Session, proposal: Proposal) -> None:
    """Write what each chapter named claims and where it meets. Whose each ZIP is does not follow by itself."""
    claims = rows(
        {"slug": slug, "kind": kind, "place": place, "miles": miles}
        for slug, land in proposal.chapters.items()
        for kind, place, miles in land.claims
    )
    seats = (
        {"slug": slug, "latitude": land.latitude, "longitude": land.longitude}
        for slug, land in proposal.chapters.items()
    )
    session.execute(_SEATS, {"rows": rows(seats)})
    session.execute(_GIVEN_UP, {"slugs": list(proposal.chapters), "rows": claims})
    session.execute(_CLAIMED, {"rows": claims})
