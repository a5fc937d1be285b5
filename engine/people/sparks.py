"""Sparks: a place without a chapter where enough people have agreed to be introduced to each other.

The root is told once; on its approval a forming chapter exists whose land is that county, and its people move there. A
place that it declined is told again only once twice as many have agreed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.errors import Conflict, Invalid, NotFound
from engine.events import Event, HumanNeeded, MatterSettled
from engine.people import lands, territories
from engine.people.consent import STANDING_SUPPRESSIONS
from engine.people.lands import Land, Proposal
from engine.settings import Settings

COULD_BEGIN = "a chapter could begin"  # the kind of notice

# Whom one can still write to, and who has no chapter near her yet.
_AGREED = f"""
SELECT i.place, c.id, c.chapter_id FROM introduction i
JOIN contact c ON c.id = i.contact_id AND c.email IS NOT NULL AND c.erased_at IS NULL AND c.merged_into_id IS NULL
JOIN chapter h ON h.id = c.chapter_id AND h.kind IN ('root', 'region')
JOIN LATERAL (
    SELECT given FROM consent w WHERE w.contact_id = c.id AND w.channel = 'mail' AND w.kind = ''
    ORDER BY w.at DESC, w.given LIMIT 1
) word ON word.given
WHERE NOT EXISTS (SELECT FROM ({STANDING_SUPPRESSIONS}) s WHERE s.email = c.email)
"""
_LOOK = text(f"""
WITH agreed AS (SELECT place, count(*) AS people FROM ({_AGREED}) a GROUP BY place),
grown AS (
    UPDATE spark s SET people = a.people FROM agreed a
    WHERE s.place = a.place AND s.state = 'proposed' AND s.people <> a.people
)
INSERT INTO spark (place, people, proposed_at)
SELECT a.place, a.people, :now FROM agreed a
WHERE a.people >= :enough AND NOT EXISTS (
    SELECT FROM spark s WHERE s.place = a.place AND (s.state <> 'declined' OR a.people < 2 * s.people))
ORDER BY a.place ON CONFLICT DO NOTHING
RETURNING id, place, people
""")
_WAITING = text("SELECT id, place, people, proposed_at FROM spark WHERE state = 'proposed' ORDER BY people DESC, id")
_FIND = text("SELECT id, place, state FROM spark WHERE id = :id FOR NO KEY UPDATE")
_DECIDE = text("""
UPDATE spark SET state = :state, chapter_id = :chapter_id, decided_by = :staff_id, decided_at = :now WHERE id = :id
""")
_PARENT = text(f"""
SELECT chapter_id FROM ({_AGREED}) a WHERE place = :place GROUP BY chapter_id ORDER BY count(*) DESC, chapter_id LIMIT 1
""")
_FORM = text("""
INSERT INTO chapter (parent_id, kind, slug, name)
VALUES (coalesce(CAST(:parent_id AS bigint), (SELECT min(id) FROM chapter WHERE kind = 'root')), 'forming', :slug, :name)
ON CONFLICT (slug) DO NOTHING RETURNING id
""")


@dataclass(frozen=True, slots=True)
class Spark:
    """A place where a chapter could begin, waiting for the root. `people`: how many have agreed so far."""

    id: int
    place: str
    people: int
    proposed_at: datetime

    @property
    def county(self) -> str:
        """As one says it: "Franklin County"."""
        return self.place.partition(":")[2]


def look(session: Session, now: datetime, settings: Settings) -> list[Event]:
    """See where enough people have agreed by now; each place is told to the root once."""
    found = session.execute(_LOOK, {"enough": settings.spark_people, "now": now}).all()
    return [
        HumanNeeded(None, COULD_BEGIN, row.place, f"{row.people:,} people want to meet each other") for row in found
    ]


def waiting(session: Session) -> Sequence[Spark]:
    """What waits for the root's decision, the most people first."""
    return [Spark(*row) for row in session.execute(_WAITING)]


def approve(
    session: Session, spark_id: int, staff_id: int | None, now: datetime, *, name: str = "", slug: str = ""
) -> list[Event]:
    """The root says yes: a forming chapter of this name and slug (none: the county's) exists under the region that its
    people are in, and a change of territories that gives it the county is approved. Raises NotFound, Conflict, Invalid."""
    found = _open(session, spark_id)
    name = name.strip() or found.place.partition(":")[2].removesuffix(" County")
    slug = slug or lands.slug_of(name)
    if not lands.is_slug(slug):
        raise Invalid("a chapter's short name is of small letters, digits and hyphens")
    parent_id = session.scalar(_PARENT, {"place": found.place})
    chapter_id = session.scalar(_FORM, {"parent_id": parent_id, "slug": slug, "name": name})
    if chapter_id is None:
        raise Conflict(f"there is a chapter {slug} already")
    values = {"id": found.id, "state": "approved", "chapter_id": chapter_id, "staff_id": staff_id, "now": now}
    session.execute(_DECIDE, values)
    land = Proposal(chapters={slug: Land(counties=(found.place,))})
    territories.decree(session, land, f"a chapter begins in {found.place}", staff_id, now)
    return [MatterSettled(None, COULD_BEGIN, found.place)]


def decline(session: Session, spark_id: int, staff_id: int | None, now: datetime) -> list[Event]:
    """The root says no, until twice as many have agreed. Raises NotFound, Conflict."""
    found = _open(session, spark_id)
    values = {"id": found.id, "state": "declined", "chapter_id": None, "staff_id": staff_id, "now": now}
    session.execute(_DECIDE, values)
    return [MatterSettled(None, COULD_BEGIN, found.place)]


def _open(session: Session, spark_id: int) -> Row[tuple[int, str, str]]:
    found = session.execute(_FIND, {"id": spark_id}).one_or_none()
    if found is None:
        raise NotFound(f"there is no spark {spark_id}")
    if found.state != "proposed":
        raise Conflict(f"spark {spark_id} is {found.state} already")
    return found
