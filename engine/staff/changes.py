"""What staff changes about one person: where she belongs, that no letter goes to her, a note. Each is on the audit.

Who is out of the reach of whoever changes is not found; nor is who was merged or erased.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.errors import Invalid, NotFound
from engine.events import Event
from engine.mail import suppressions
from engine.mail.suppressions import Suppressed
from engine.people import routing, volunteers
from engine.sources.words import clean
from engine.staff import audit
from engine.staff.accounts import Account
from engine.staff.rights import IN_REACH

LONGEST_NOTE = 2_000

_LOCK = text(f"""
SELECT c.id, c.email FROM contact c
WHERE c.id = :id AND {IN_REACH} AND c.merged_into_id IS NULL AND c.erased_at IS NULL FOR NO KEY UPDATE
""")
_PLACE = text("UPDATE contact SET placed_chapter_id = :chapter_id WHERE id = :id")
_NOTE = text("""
UPDATE contact SET custom = CASE WHEN :note = '' THEN custom - 'note'
    ELSE custom || jsonb_build_object('note', CAST(:note AS text)) END WHERE id = :id
""")
_HERS = text("SELECT EXISTS (SELECT FROM volunteer_offer WHERE id = :id AND contact_id = :contact_id)")


def place(session: Session, who: Account, contact_id: int, chapter_id: int | None, now: datetime) -> Sequence[Event]:
    """Her home is this chapter from now on, whatever else would say; None: whatever else says counts again.

    Raises NotFound for a person or a chapter that is out of reach.
    """
    if chapter_id is not None and chapter_id not in who.reach.chapter_ids:
        raise NotFound("no such chapter")
    routing.hold(session)
    lock(session, who, contact_id)
    session.execute(_PLACE, {"id": contact_id, "chapter_id": chapter_id})
    audit.write(session, who.id, "placed", "contact", contact_id, {"chapter_id": chapter_id}, now)
    return routing.rehome(session, [contact_id], now, None, staff_id=who.id)


def stop_letters(session: Session, who: Account, contact_id: int, now: datetime) -> None:
    """Nothing is sent to her address any more, for good. Raises NotFound; Invalid when she has no address."""
    email = lock(session, who, contact_id)
    if email is None:
        raise Invalid("she has no address: nothing is sent to her")
    suppressions.suppress(session, [Suppressed(email, "manual", now, None)])
    audit.write(session, who.id, "letters stopped", "contact", contact_id, {"reason": "manual"}, now)


def note(session: Session, who: Account, contact_id: int, words: str, now: datetime) -> None:
    """Keep a note about her, in place of the one before; it is part of her record, and goes with it. Raises NotFound."""
    lock(session, who, contact_id)
    said = clean(words)[:LONGEST_NOTE]
    session.execute(_NOTE, {"id": contact_id, "note": said})
    audit.write(session, who.id, "note kept", "contact", contact_id, {"characters": len(said)}, now)


def move_offer(session: Session, who: Account, contact_id: int, *, offer_id: int, state: str, now: datetime) -> None:
    """An offer of hers to help goes on to this state. Raises NotFound for an offer that is not hers, Invalid, Conflict."""
    lock(session, who, contact_id)
    if not session.scalar(_HERS, {"id": offer_id, "contact_id": contact_id}):
        raise NotFound("no such offer")
    if volunteers.move(session, offer_id, state, who.id, now):
        detail = {"offer_id": offer_id, "state": state}
        audit.write(session, who.id, "offer moved", "contact", contact_id, detail, now)


def lock(session: Session, who: Account, contact_id: int) -> str | None:
    """Her row is ours for the rest of the transaction. Returns her address. Raises NotFound."""
    found = session.execute(_LOCK, who.reach.values() | {"id": contact_id}).one_or_none()
    if found is None:
        raise NotFound("no such person")
    email: str | None = found.email
    return email
