"""Forgetting whoever was asked and never answered: thirty days after the last question, when nothing else is known of her.

Whatever points to a contact counts as known, but what the question itself left: sign-ups on our forms that wait, the
questions and their letters. So does what a list or the staff wrote into her record: a stranger's form writes nothing there.
"""

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

AFTER = timedelta(days=30)
STRETCH = 500

# Every table that holds a contact's id; a test compares this list with the schema. What may be forgotten has its condition.
KNOWN_BY = {
    "ask_rest": "", "chapter_lead": "", "consent": "", "contact_interest": "", "contribution": "", "enrollment": "",
    "followed_chapter": "", "introduction": "", "past_place": "", "recurring_plan": "", "volunteer_offer": "",
    "confirmation": "AND (x.confirmed_at IS NOT NULL OR x.asked_at > :before)",
    "message": "AND x.occasion NOT LIKE 'confirm:%'",
    "past_letter": "AND x.occasion NOT LIKE 'confirm:%'",
    "past_occasion": "AND false",  # of those letters
    "sign_up": "AND (x.source <> 'join' OR x.at > :before)",
}  # fmt: skip

_NOTHING_KNOWN = " ".join(
    f"AND NOT EXISTS (SELECT FROM {table} x WHERE x.contact_id = c.id {but})" for table, but in KNOWN_BY.items()
)
# SQL over contact `c`: she was asked, last before :before, and nothing else is known of her.
UNANSWERED = f"""
EXISTS (SELECT FROM confirmation x WHERE x.contact_id = c.id)
AND c.merged_into_id IS NULL AND c.erased_at IS NULL AND c.placed_chapter_id IS NULL
AND (c.first_name, c.last_name, c.phone, c.custom) = ('', '', '', '{{}}') AND c.zip IS NULL
AND NOT EXISTS (SELECT FROM contact m WHERE m.merged_into_id = c.id)
{_NOTHING_KNOWN}
"""

# Locked in the order of addresses; looked at again once locked, for she may have answered, or given, meanwhile.
_LOCK = text(f"SELECT c.id FROM contact c WHERE {UNANSWERED} ORDER BY c.email LIMIT :most FOR UPDATE SKIP LOCKED")
_STILL = text(f"SELECT c.id FROM contact c WHERE c.id = ANY(:ids) AND {UNANSWERED}")
_FORGET = (
    text("DELETE FROM mail_event e USING message m WHERE m.id = e.message_id AND m.contact_id = ANY(:ids)"),
    text("DELETE FROM message WHERE contact_id = ANY(:ids)"),
    text("DELETE FROM past_letter WHERE contact_id = ANY(:ids)"),
    text("DELETE FROM past_occasion WHERE contact_id = ANY(:ids)"),
    text("DELETE FROM confirmation WHERE contact_id = ANY(:ids)"),
    text("DELETE FROM sign_up WHERE contact_id = ANY(:ids)"),
    text("DELETE FROM chapter_move WHERE contact_id = ANY(:ids)"),
    text("DELETE FROM contact WHERE id = ANY(:ids)"),
)


def forget(session: Session, now: datetime) -> tuple[int, bool]:
    """Forget one stretch of them. Returns how many, and whether there may be more."""
    values = {"before": now - AFTER, "most": STRETCH}
    locked = session.scalars(_LOCK, values).all()
    going = session.scalars(_STILL, {"ids": locked, "before": now - AFTER}).all() if locked else []
    if going:
        for statement in _FORGET:
            session.execute(statement, {"ids": going})
    return len(going), len(locked) == STRETCH and bool(going)
