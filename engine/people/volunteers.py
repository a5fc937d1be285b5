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
""")

_LIST = text("""
SELECT o.id, o.contact_id, o.state, o.note, o.at, o.changed_at, o.changed_by, w.code, w.name, w.names, c.first_name,
    c.last_name, c.email, c.phone, c.city, c.chapter_id
FROM volunteer_offer o JOIN contact c ON c.id = o.contact_id JOIN way_to_help w ON w.id = o.way_to_help_id
WHERE c.chapter_id = ANY(:chapter_ids) AND o.state = ANY(:states)
    AND c.merged_into_id IS NULL AND c.erased_at IS NULL
ORDER BY o.at, o.id
""")

_FIND = text("SELECT state FROM volunteer_offer WHERE id = :id FOR UPDATE")
_MOVE = text("UPDATE volunteer_offer SET state = :state, changed_at = :now, changed_by = :staff_id WHERE id = :id")


def offer(session: Session, said: Collection[Mapping[str, object]], now: datetime) -> None:
    """Put these offers on the lists; what stands there already stays. Each: contact_id, code (of a way to help), at."""
    if said:
        session.execute(_OFFER, {"rows": rows(said), "now": now})


def list_of(
    session: Session, chapter_ids: Collection[int], states: Collection[str] = ("new", "contacted", "placed")
) -> Sequence[Row[Any]]:
    """The offers of everybody whose home these chapters are, the oldest first.

    Rows of (id, contact_id, state, note, at, changed_at, changed_by, code, name, names, first_name, last_name, email, phone,
    city, chapter_id).
    """
    return session.execute(_LIST, {"chapter_ids": list(chapter_ids), "states": list(states)}).all()


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
