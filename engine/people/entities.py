"""Chapters' own ActBlue entities: which chapter has which, and the donors whose home follows from that."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.events import ChapterChanged
from engine.people import locks, routing

_CLAIM = text("""
WITH v AS (
    SELECT v.slug, v.entity_id, coalesce(v.fund, (SELECT min(slug) FROM fund)) AS fund
    FROM json_to_recordset(CAST(:rows AS json)) AS v(slug text, entity_id bigint, fund text)
), gone AS (
    UPDATE actblue_entity e SET chapter_id = NULL FROM chapter h
    WHERE h.id = e.chapter_id AND h.slug = ANY(:slugs) AND e.entity_id NOT IN (SELECT entity_id FROM v)
)
INSERT INTO actblue_entity AS e (entity_id, fund_id, chapter_id)
SELECT v.entity_id, f.id, h.id FROM v JOIN chapter h ON h.slug = v.slug JOIN fund f ON f.slug = v.fund
ON CONFLICT (entity_id) DO UPDATE SET chapter_id = excluded.chapter_id
""")
_HAD = text("SELECT e.entity_id FROM actblue_entity e JOIN chapter h ON h.id = e.chapter_id WHERE h.slug = ANY(:slugs)")
# The newest gift to any chapter's own entity counts, as at admission; of one who gave to none any more, none.
_DONORS = text("""
SELECT h.id, h.chapter_id FROM (
    SELECT DISTINCT ON (d.id) d.id, e.chapter_id
    FROM (SELECT DISTINCT contact_id AS id FROM contribution WHERE entity_id = ANY(:entities) AND contact_id IS NOT NULL) d
    LEFT JOIN contribution g ON g.contact_id = d.id
    LEFT JOIN actblue_entity e ON e.entity_id = g.entity_id AND e.chapter_id IS NOT NULL
    ORDER BY d.id, e.chapter_id IS NULL, g.paid_at DESC, e.chapter_id
) h JOIN contact c ON c.id = h.id WHERE c.entity_chapter_id IS DISTINCT FROM h.chapter_id
""")
_HINT = text("""
UPDATE contact c SET entity_chapter_id = v.chapter_id
FROM json_to_recordset(CAST(:rows AS json)) AS v(id bigint, chapter_id bigint) WHERE c.id = v.id
""")


def claim(
    session: Session, named: Iterable[Mapping[str, object]], slugs: Collection[str], now: datetime
) -> list[ChapterChanged]:
    """Give these chapters (`slugs`) these entities and no others: rows of slug, entity_id, fund (its slug; None: the first).

    Donors of the past go where their newest gift to a chapter's own entity leads now, unless they chose or were placed.
    """
    told = list(named)
    had = session.scalars(_HAD, {"slugs": list(slugs)}).all()
    locks.alone_with_money(session)  # a gift that is booked meanwhile would be judged by what was
    session.execute(_CLAIM, {"rows": rows(told), "slugs": list(slugs)})
    entities = {*had, *(row["entity_id"] for row in told)}
    donors = session.execute(_DONORS, {"entities": list(entities)}).all()
    ids = [row.id for row in donors]
    locks.hold(session, ids)
    session.execute(_HINT, {"rows": rows({"id": row.id, "chapter_id": row.chapter_id} for row in donors)})
    return routing.rehome(session, ids, now, None)
