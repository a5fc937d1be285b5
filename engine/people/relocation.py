"""Moving everybody whom a map of ZIPs concerns, set-based: what would move, and moving it a stretch of contacts at a time.

The same order of precedence as `engine.people.routing.home`, in SQL: who was placed by staff, chose for herself or gave to a
chapter's own ActBlue entity stays; all others live where the map says.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.people.routing import ROOT, STATE_ROUTES, UNCONFIRMED, Route

# A map that nobody has drawn yet.
_PROPOSED = """
SELECT * FROM json_to_recordset(CAST(:map AS json)) AS v(zip text, chapter_id bigint, by text, "on" text)
"""
_PROPOSED_STATES = "SELECT * FROM json_to_recordset(CAST(:states AS json)) AS v(place text, chapter_id bigint)"


def joined(route: str, states: str, people: str = "contact") -> str:
    """FROM: contacts `c` (or other rows with a `zip` and a `state`), the land's word on where each belongs as `h`."""
    return f"""
{people} c
LEFT JOIN {route} r ON r.zip = c.zip
LEFT JOIN zip z ON z.zip = c.zip AND r.zip IS NULL
LEFT JOIN ({states}) s ON s.place = upper(btrim(c.state)) AND r.zip IS NULL AND z.zip IS NULL
CROSS JOIN ({ROOT}) root
CROSS JOIN LATERAL (
    SELECT coalesce(r.chapter_id, s.chapter_id, root.id) AS chapter_id,
        CASE WHEN r.zip IS NOT NULL THEN r.by WHEN s.place IS NOT NULL THEN 'state' ELSE 'root' END AS by,
        CASE WHEN r.zip IS NOT NULL THEN r."on" WHEN s.place IS NOT NULL THEN s.place
            WHEN c.zip IS NULL THEN 'no ZIP' ELSE 'no chapter for ' || c.zip END AS "on"
) h
"""


FREE = "c.placed_chapter_id IS NULL AND c.chosen_chapter_id IS NULL AND c.entity_chapter_id IS NULL"
_ALIVE = f"c.merged_into_id IS NULL AND c.erased_at IS NULL AND c.routed_by <> '{UNCONFIRMED}'"
_STRETCH = f"""
c.id > :after AND c.id <= :upto AND {FREE} AND {_ALIVE}
    AND (c.chapter_id, c.routed_by, c.routed_on) IS DISTINCT FROM (h.chapter_id, h.by, h."on")
"""

_MOVES = text(f"""
WITH proposed AS MATERIALIZED ({_PROPOSED}), active AS MATERIALIZED (
    SELECT contact_id FROM chapter_lead UNION SELECT contact_id FROM volunteer_offer WHERE state <> 'withdrawn'
), moving AS MATERIALIZED (
    SELECT c.chapter_id AS from_id, h.chapter_id AS to_id, count(*) AS people, count(a.contact_id) AS active
    FROM {joined("proposed", _PROPOSED_STATES)} LEFT JOIN active a ON a.contact_id = c.id
    WHERE {FREE} AND {_ALIVE} AND c.chapter_id IS DISTINCT FROM h.chapter_id
    GROUP BY c.chapter_id, h.chapter_id
)
SELECT f.slug AS from_slug, f.name AS from_name, t.slug AS to_slug, t.name AS to_name, m.people, m.active
FROM moving m LEFT JOIN chapter f ON f.id = m.from_id LEFT JOIN chapter t ON t.id = m.to_id
ORDER BY m.people DESC, f.slug, t.slug
""")

_STAY = text(f"""
WITH proposed AS MATERIALIZED ({_PROPOSED}), decided AS MATERIALIZED (
    SELECT * FROM contact c WHERE NOT ({FREE}) AND {_ALIVE}
), shall AS (
    SELECT c.id, h.chapter_id FROM {joined("proposed", _PROPOSED_STATES, "decided")}
), now_is AS (
    SELECT c.id, h.chapter_id FROM {joined("zip_route", STATE_ROUTES, "decided")}
)
SELECT count(*) FROM shall JOIN now_is USING (id) WHERE shall.chapter_id IS DISTINCT FROM now_is.chapter_id
""")

_LOCK = text(f"""
SELECT count(*) FROM (
    SELECT c.id FROM {joined("zip_route", STATE_ROUTES)} WHERE {_STRETCH}
    ORDER BY c.email, c.donor_key, c.id FOR NO KEY UPDATE OF c
) locked
""")

_MOVE = text(f"""
WITH moved AS (
    UPDATE contact m SET chapter_id = d.chapter_id, routed_by = d.by, routed_on = d."on"
    FROM (SELECT c.id, h.* FROM {joined("zip_route", STATE_ROUTES)} WHERE {_STRETCH}) d
    WHERE m.id = d.id AND m.id > :after AND m.id <= :upto
    RETURNING m.id, old.chapter_id AS from_id, new.chapter_id AS to_id, new.routed_by, new.routed_on
), told AS (
    INSERT INTO chapter_move (contact_id, from_chapter_id, to_chapter_id, by, "on", at, territory_change_id, staff_id)
    SELECT id, from_id, to_id, routed_by, routed_on, :now, :change_id, CAST(:staff_id AS bigint)
    FROM moved WHERE from_id IS DISTINCT FROM to_id ORDER BY id
    RETURNING 1
)
SELECT count(*) FROM told
""")


@dataclass(frozen=True, slots=True)
class Moves:
    """How many go from one chapter to another (slug and name; None: from no chapter at all), of them leads or volunteers."""

    from_slug: str | None
    from_name: str | None
    to_slug: str | None
    to_name: str | None
    people: int
    active: int


def would_move(session: Session, drawn: Mapping[str, Route], states: Mapping[str, int]) -> tuple[list[Moves], int]:
    """Whom this map (ZIP -> route; two letters -> chapter id) would move, by chapters, the most first; and how many would
    belong elsewhere by it but stay, because they chose or were placed."""
    shown = {
        "map": rows({"zip": code} | asdict(route) for code, route in drawn.items()),
        "states": rows({"place": state, "chapter_id": chapter_id} for state, chapter_id in states.items()),
    }
    moves = [Moves(*row) for row in session.execute(_MOVES, shown)]
    return moves, int(session.scalar(_STAY, shown) or 0)


def move(session: Session, ids: range, now: datetime, change_id: int, staff_id: int | None = None) -> int:
    """Move those of these contacts who belong elsewhere by the map as it is drawn, with a history. Returns how many moved;
    of those who stay in their chapter, the reason is brought up to date. Locks them in the order of addresses."""
    stretch = {"after": ids.start - 1, "upto": ids.stop - 1}
    if not session.scalar(_LOCK, stretch):
        return 0
    values = stretch | {"now": now, "change_id": change_id, "staff_id": staff_id}
    return int(session.scalar(_MOVE, values) or 0)
