"""Gatherings: entered with a code; whether it lifts the limits of its network now, and how many it took.

The web process takes a place when it accepts a sign-up, and writes the code into the body only then: a worker never
counts, so that a body which is applied twice is counted once. A crash in between costs one place, never a person.
"""

import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.errors import Conflict, Invalid, NotFound
from engine.sources.words import clean

MOST = 100_000  # sign-ups of one gathering
LONGEST_NAME = 200
LETTERS, CODE_LETTERS = (
    6,
    "abcdefghjkmnpqrstuvwxyz",
)  # of a code that is made: none that is taken for another, or for a digit
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{1,39}", re.ASCII)

_OPEN = "code = :code AND starts_at <= :now AND ends_at > :now AND taken < most"
_COLUMNS = "id, code, name, chapter_id, starts_at, ends_at, most, taken"

# One statement on one row: of several at once, each waits and then sees how many are left.
_TAKE = text(f"UPDATE gathering SET taken = taken + 1 WHERE {_OPEN} RETURNING {_COLUMNS}")
_OPEN_ONE = text(f"SELECT {_COLUMNS} FROM gathering WHERE {_OPEN}")
_NEWEST_OPEN = text("""
SELECT code, name FROM gathering WHERE starts_at <= :now AND ends_at > :now AND taken < most ORDER BY starts_at DESC, id DESC
LIMIT 1
""")

_CHAPTER = text("SELECT id FROM chapter WHERE slug = :slug")
# The zone in which most of the chapter's ZIPs lie; of one that has none, most of the organisation's.
_ZONE = """coalesce((
    SELECT z.time_zone FROM zip_route r JOIN zip z ON z.zip = r.zip WHERE z.time_zone <> ''
    GROUP BY z.time_zone ORDER BY count(*) FILTER (WHERE r.chapter_id = {chapter}) DESC, count(*) DESC, z.time_zone LIMIT 1
), 'UTC')"""
_ZONE_OF = text(f"SELECT {_ZONE.format(chapter=':chapter_id')}")
_ADD = text("""
INSERT INTO gathering (code, name, chapter_id, starts_at, ends_at, most)
VALUES (:code, :name, :chapter_id, :starts_at, :ends_at, :most) ON CONFLICT (code) DO NOTHING RETURNING id
""")
_LISTED = f"""
SELECT g.id, g.code, g.name, g.chapter_id, g.starts_at, g.ends_at, g.most, g.taken, h.name AS host,
    {_ZONE.format(chapter="g.chapter_id")} AS time_zone
FROM gathering g JOIN chapter h ON h.id = g.chapter_id
"""
_ONE = text(f"{_LISTED} WHERE g.id = :id")
_NEWEST = text(f"{_LISTED} ORDER BY g.starts_at DESC, g.id DESC LIMIT :most")


@dataclass(frozen=True, slots=True)
class Planned:
    """A gathering as somebody says it: the slug of its host, and when, in words. Without a `code` one is made."""

    name: str
    chapter: str
    begins: str
    ends: str
    most: int
    code: str = ""


def add(session: Session, planned: Planned, now: datetime) -> Row[Any]:
    """Enter a gathering; returns its row as `newest` has it.

    Raises NotFound for an unknown chapter, Invalid for times, counts, names and codes that cannot be, Conflict for a code
    that is another gathering's.
    """
    chapter_id = session.scalar(_CHAPTER, {"slug": planned.chapter})
    if chapter_id is None:
        raise NotFound(f"no chapter {planned.chapter[:60]}")
    zone = ZoneInfo(session.execute(_ZONE_OF, {"chapter_id": chapter_id}).scalar_one())
    starts_at, ends_at = moment(planned.begins, zone), moment(planned.ends, zone)
    name = clean(planned.name)
    if not name or len(name) > LONGEST_NAME:
        raise Invalid(f"a gathering needs a name of at most {LONGEST_NAME} characters")
    if ends_at <= max(starts_at, now):
        raise Invalid("it would be over before it begins" if ends_at <= starts_at else "it is over already")
    if not 0 < planned.most <= MOST:
        raise Invalid(f"from 1 to {MOST:,} may sign up")
    if planned.code and not _CODE.fullmatch(planned.code):
        raise Invalid("a code is 2 to 40 letters, digits, hyphens and underscores")
    values = {"name": name, "chapter_id": chapter_id, "starts_at": starts_at, "ends_at": ends_at, "most": planned.most}
    while (made := session.scalar(_ADD, values | {"code": planned.code or new_code()})) is None:
        if planned.code:
            raise Conflict(f"the code {planned.code} is another gathering's")
    return session.execute(_ONE, {"id": made}).one()


def newest(session: Session, most: int) -> list[Row[Any]]:
    """The gatherings, the latest first: rows of (id, code, name, chapter_id, starts_at, ends_at, most, taken, host,
    time_zone)."""
    return list(session.execute(_NEWEST, {"most": most}).all())


def moment(told: str, zone: ZoneInfo) -> datetime:
    """A time as one writes it: "2026-12-05 18:00", in this zone, or with an offset of its own. Raises Invalid."""
    try:
        at = datetime.fromisoformat(told.strip())
    except ValueError:
        raise Invalid(f"{told[:40]} is no time: write it like 2026-12-05 18:00") from None
    return at if at.tzinfo else at.replace(tzinfo=zone)


def new_code() -> str:
    """Six letters that nobody can mistake for others."""
    return "".join(secrets.choice(CODE_LETTERS) for _ in range(LETTERS))


def take(session: Session, code: str, now: datetime) -> Row[Any] | None:
    """Take one of this gathering's places: its row (id, code, name, chapter_id, starts_at, ends_at, most, taken).

    None when there is no such code, it is not the time, or it took as many as it may: the usual limits hold. The row stays
    locked until the transaction ends, so keep it short.
    """
    return session.execute(_TAKE, {"code": code, "now": now}).one_or_none()


def open_one(session: Session, code: str, now: datetime) -> Row[Any] | None:
    """The same row without taking a place: for showing the form."""
    return session.execute(_OPEN_ONE, {"code": code, "now": now}).one_or_none()


def newest_open(session: Session, now: datetime) -> Row[Any] | None:
    """The gathering (code, name) that opened last and still takes people; None when there is none."""
    return session.execute(_NEWEST_OPEN, {"now": now}).one_or_none()
