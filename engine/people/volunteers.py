"""Offers to help: each stands on the list of the home chapter of who made it, from new to contacted to placed."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.errors import Conflict, Invalid, NotFound
from engine.states import STATES

TABLE = "volunteer_offer"
NEW, WITHDRAWN = "new", "withdrawn"

# One that was withdrawn is offered anew; one that is under way goes on.
_OFFER = text("""
INSERT INTO volunteer_offer AS o (contact_id, way_to_help_id, at, changed_at)
SELECT DISTINCT ON (v.contact_id, w.id) v.contact_id, w.id, v.at, :now
FROM json_to_recordset(CAST(:rows AS json)) AS v(contact_id bigint, code text, at timestamptz)
JOIN way_to_help w ON w.code = v.code
ORDER BY v.contact_id, w.id, v.at
ON CONFLICT (contact_id, way_to_help_id) DO UPDATE
    SET state = 'new', at = excluded.at, changed_at = excluded.changed_at, changed_by = NULL
    WHERE o.state = 'withdrawn' AND excluded.at >= o.changed_at
RETURNING contact_id
""")

_THEIRS = """
FROM volunteer_offer o JOIN contact c ON c.id = o.contact_id
WHERE (CAST(:chapter_ids AS bigint[]) IS NULL OR c.chapter_id = ANY(:chapter_ids))
    AND c.merged_into_id IS NULL AND c.erased_at IS NULL
"""
_CENSUS = text(f"SELECT o.state, count(*) AS offers {_THEIRS} GROUP BY o.state")
_LIST = text(f"""
SELECT l.*, w.code, w.name, w.names, h.name AS chapter, coalesce(nullif(s.name, ''), s.email) AS changed_by_name FROM (
    SELECT o.id, o.contact_id, o.way_to_help_id, o.state, o.note, o.at, o.changed_at, o.changed_by, c.first_name, c.last_name,
        c.email, c.phone, c.city, c.chapter_id, array_position(CAST(:states AS text[]), o.state) AS place
    {_THEIRS} AND o.state = ANY(:states) ORDER BY place, o.at, o.id LIMIT :most OFFSET :skip
) l JOIN way_to_help w ON w.id = l.way_to_help_id LEFT JOIN chapter h ON h.id = l.chapter_id
LEFT JOIN staff s ON s.id = l.changed_by ORDER BY l.place, l.at, l.id
""")

_FIND = text("SELECT state FROM volunteer_offer WHERE id = :id FOR UPDATE")
_MOVE = text("UPDATE volunteer_offer SET state = :state, changed_at = :now, changed_by = :staff_id WHERE id = :id")


def offer(session: Session, said: Collection[Mapping[str, object]], now: datetime) -> list[int]:
    """Put these offers on the lists; what stands there already stays. Each: contact_id, code (of a way to help), at. Returns
    the contacts who offer what they did not offer before."""
    made = session.scalars(_OFFER, {"rows": rows(said), "now": now}).all() if said else ()
    return sorted(set(made))


def list_of(
    session: Session,
    chapter_ids: Collection[int] | None,
    states: Sequence[str] = ("new", "contacted", "placed"),
    *,
    most: int | None = None,
    skip: int = 0,
) -> Sequence[Row[Any]]:
    """The offers of everybody whose home these chapters are (None: of everybody), by these states in their order, the oldest
    of each first; of that list at most so many, after the first few.

    Rows of (id, contact_id, state, note, at, changed_at, changed_by, changed_by_name, code, name, names, first_name,
    last_name, email, phone, city, chapter_id, chapter).
    """
    values = {"chapter_ids": _ids(chapter_ids), "states": list(states), "most": most, "skip": skip}
    return session.execute(_LIST, values).all()


def census(session: Session, chapter_ids: Collection[int] | None) -> Mapping[str, int]:
    """How many offers there are on the same lists in each state; a state without any is not named."""
    return {row.state: row.offers for row in session.execute(_CENSUS, {"chapter_ids": _ids(chapter_ids)})}


def _ids(chapter_ids: Collection[int] | None) -> list[int] | None:
    return None if chapter_ids is None else list(chapter_ids)


def move(session: Session, offer_id: int, state: str, staff_id: int | None, now: datetime) -> bool:
    """Let an offer go on to this state. Returns whether it was in another.

    Raises NotFound; Invalid for no state at all; Conflict when STATES lets none go from where it is to there. Whoever
    calls knows that this member of staff may, and writes the audit. `staff_id` None: she did it herself.
    """
    if state not in STATES[TABLE]:
        raise Invalid(f"no state of an offer: {state[:20]}")
    before = session.scalar(_FIND, {"id": offer_id})
    if before is None:
        raise NotFound(f"no offer {offer_id}")
    if before == state:
        return False
    if state not in STATES[TABLE][before]:
        raise Conflict(f"an offer that is {before} cannot become {state}")
    session.execute(_MOVE, {"id": offer_id, "state": state, "staff_id": staff_id, "now": now})
    return True
