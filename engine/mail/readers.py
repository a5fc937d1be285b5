"""Letters of people who turn out to be one, or who are erased.

Nobody gets a letter twice because she had two addresses: of two for one occasion one is hers, the one that has gone, else
the earlier; the other stays with the old row and does not leave any more.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.events import ContactErased, ContactMerged, Event
from engine.mail import tally
from engine.settings import Settings

# While they change places, the letter that is one too many has a name that no occasion has.
_MARK = " | merged "
_SPARE = text("""
WITH ranked AS (
    SELECT m.id, m.contact_id, m.contact_id = o.into_id AS hers,
        row_number() OVER best AS place, first_value(m.contact_id) OVER best AS whose
    FROM (SELECT id, merged_into_id AS into_id FROM contact WHERE id = ANY(:ids)
          UNION SELECT merged_into_id, merged_into_id FROM contact WHERE id = ANY(:ids)) o
    JOIN message m ON m.contact_id = o.id
    WINDOW best AS (PARTITION BY o.into_id, m.occasion
        ORDER BY m.state NOT IN ('handed', 'delivered', 'bounced', 'dropped', 'complained'), m.id)
)
UPDATE message m SET occasion = m.occasion || CAST(:mark AS text) || m.id,
    contact_id = CASE WHEN r.hers THEN r.whose ELSE r.contact_id END,
    state = CASE m.state WHEN 'ready' THEN 'cancelled' ELSE m.state END,
    reason = CASE m.state WHEN 'ready' THEN 'the same letter under another address' ELSE m.reason END
FROM ranked r WHERE m.id = r.id AND r.place > 1
RETURNING old.state AS before, m.version_id, m.campaign_id, m.mailing_id, coalesce(m.chapter_id, 0) AS chapter, m.step
""")
# What is for whoever has this very address (a link to sign in, a word to the operator) stays with it.
_MOVE = text("""
UPDATE message m SET contact_id = o.merged_into_id FROM contact o
WHERE o.id = ANY(:ids) AND m.contact_id = o.id AND m.occasion !~ '^(sign-in|notice|trial):'
    AND right(m.occasion, length(CAST(:mark AS text) || m.id)) <> CAST(:mark AS text) || m.id
""")
_UNMARK = text("""
UPDATE message m SET occasion = left(m.occasion, -length(CAST(:mark AS text) || m.id))
WHERE m.contact_id = ANY(:ids) AND right(m.occasion, length(CAST(:mark AS text) || m.id)) = CAST(:mark AS text) || m.id
""")

# Of clicks on several links at one instant one is left: without their addresses they are the same.
_SAME_CLICKS = text("""
DELETE FROM mail_event e USING message m, mail_event f
WHERE m.id = e.message_id AND m.contact_id = ANY(:ids) AND f.id < e.id
    AND (f.message_id, f.handover_id, f.kind, f.at) = (e.message_id, e.handover_id, e.kind, e.at)
""")
_EVENTS = text("""
UPDATE mail_event e SET url = '', reason = '' FROM message m
WHERE m.id = e.message_id AND m.contact_id = ANY(:ids) AND (e.url, e.reason) <> ('', '')
""")
_HANDOVERS = text("""
UPDATE handover h SET reason = '' WHERE h.reason <> ''
    AND h.id IN (SELECT handover_id FROM message WHERE contact_id = ANY(:ids))
""")
_LETTERS = text("""
UPDATE message SET facts = '{}', state = CASE state WHEN 'ready' THEN 'cancelled' ELSE state END,
    reason = CASE state WHEN 'ready' THEN 'erased' WHEN 'skipped' THEN reason ELSE '' END
WHERE contact_id = ANY(:ids)
RETURNING old.state AS before, version_id, campaign_id, mailing_id, coalesce(chapter_id, 0) AS chapter, step
""")
_NOTICES = text("""
UPDATE notice n SET detail = '' FROM message m
WHERE m.contact_id = ANY(:ids) AND n.subject = 'message ' || m.id AND n.detail <> ''
""")

# The table of letters that names a contact: moved by a merge, kept without its values when she is erased.
MOVED = KEPT = frozenset({"message"})


def take_over(session: Session, merged: Sequence[ContactMerged], _: datetime, __: Settings) -> list[Event]:
    """Her letters are the other's, but for those that the other has already."""
    values = {"ids": [event.contact_id for event in merged], "mark": _MARK}
    spare = session.execute(_SPARE, values).all()
    for statement in (_MOVE, _UNMARK):
        session.execute(statement, values)
    return _cancelled(spare)


def forget(session: Session, erased: Sequence[ContactErased], _: datetime, __: Settings) -> list[Event]:
    """Take out the values of her letters, the links she followed, what servers said of her address; nothing more leaves."""
    ids = {"ids": [event.contact_id for event in erased]}
    for statement in (_SAME_CLICKS, _EVENTS, _HANDOVERS, _NOTICES):
        session.execute(statement, ids)
    return _cancelled(session.execute(_LETTERS, ids).all())


def _cancelled(letters: Sequence[Row[Any]]) -> list[Event]:
    """Of those letters the ones that were ready, for the tallies of their steps."""
    return tally.of_steps((row, "cancelled") for row in letters if row.before == "ready")
