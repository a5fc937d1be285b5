"""What the join forms show: the organisation, its chapters, what may be ticked, the gatherings; the chapter near a ZIP."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.people.interests import Offered, offered

LOCAL = ("chapter", "forming")  # the kinds of chapters that meet somewhere; the root and regions do not

_CHAPTERS = text("SELECT id, kind, slug, name FROM chapter ORDER BY id")
_GATHERINGS = text("""
SELECT code, name, chapter_id, starts_at, ends_at FROM gathering WHERE ends_at > :now AND starts_at < :now + interval '1 day'
""")
_NEAR = text("""
SELECT z.city, z.county, c.name, c.kind FROM (SELECT CAST(:zip AS text) AS zip) asked
LEFT JOIN zip z ON z.zip = asked.zip
LEFT JOIN zip_route r ON r.zip = asked.zip LEFT JOIN chapter c ON c.id = r.chapter_id
""")


@dataclass(frozen=True, slots=True)
class Known:
    """A chapter as forms name it."""

    id: int
    kind: str
    slug: str
    name: str


@dataclass(frozen=True, slots=True)
class Hosted:
    """A gathering at which people sign up one after another."""

    name: str
    chapter_id: int
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class House:
    """All that a join form shows. `now`: when it was so."""

    now: datetime
    chapters: Mapping[str, Known]
    offered: Offered
    gatherings: Mapping[str, Hosted]

    @property
    def root(self) -> Known | None:
        """The organisation itself; None before there is one."""
        return next((chapter for chapter in self.chapters.values() if chapter.kind == "root"), None)

    def chapter(self, id: int | None) -> Known | None:
        """The chapter of this id."""
        return next((chapter for chapter in self.chapters.values() if chapter.id == id), None)


@dataclass(frozen=True, slots=True)
class Near:
    """What is near a ZIP: its postal city ("" for a ZIP that nobody knows), and the chapter that meets there, if one does.

    `county`: whose people without a chapter can be introduced to each other; some ZIPs that are known have none.
    """

    city: str
    chapter: str = ""
    county: str = ""

    @property
    def known(self) -> bool:
        """Whether we know where that is."""
        return bool(self.city or self.chapter)


def house(session: Session, now: datetime) -> House:
    """What the forms show at this moment."""
    return House(
        now=now,
        chapters={row.slug: Known(*row) for row in session.execute(_CHAPTERS)},
        offered=offered(session),
        gatherings={row.code: Hosted(*row[1:]) for row in session.execute(_GATHERINGS, {"now": now})},
    )


def near(session: Session, zip_code: str) -> Near:
    """The chapter whose land this ZIP (five digits) is."""
    found = session.execute(_NEAR, {"zip": zip_code}).one()
    return Near(found.city or "", found.name if found.kind in LOCAL else "", found.county or "")
