"""The letter with the way to her own monthly gifts: asked for by address, sent to whoever has given.

Whether it is sent shows nowhere: known or not, the same two statements run. The link in it is built when it is rendered; the
letter holds the moment it was asked for, and nothing else.
"""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine import bell
from engine.db import rows
from engine.events import Event, LettersComposed
from engine.languages import ENGLISH
from engine.letters import writing
from engine.letters.links import GIVING_SPAN

SHIPPED = "giving_link"

# Of one who was merged, to whom she is now. `nonce`: of the form; pressed twice, it is one letter.
_ASK = text("""
INSERT INTO message (contact_id, mailing_id, occasion, lane, due_at, expires_at, language, chapter_id, facts)
SELECT c.id, words.mailing_id, 'giving:' || CAST(:nonce AS text), :lane, :now, :until, words.language, c.chapter_id,
    jsonb_build_object('giving_asked', CAST(:asked AS bigint))
FROM contact known JOIN contact c ON c.id = coalesce(known.merged_into_id, known.id)
CROSS JOIN LATERAL (
    SELECT v.language, v.mailing_id FROM json_to_recordset(CAST(:mailings AS json)) AS v(language text, mailing_id bigint)
    WHERE v.language IN (c.language, :english) ORDER BY (v.language = c.language) DESC LIMIT 1
) words
WHERE known.email = :email AND c.email IS NOT NULL AND (EXISTS (SELECT FROM contribution g WHERE g.contact_id = c.id)
    OR EXISTS (SELECT FROM recurring_plan p WHERE p.contact_id = c.id))
ON CONFLICT (contact_id, occasion) DO NOTHING
RETURNING id
""")


def ask(session: Session, email: str, nonce: str, now: datetime) -> list[Event]:
    """Send a link to this normalised address, if its owner has given. The events are for the bells alone."""
    mailings = writing.spoken(session, SHIPPED).items()
    made = session.scalar(_ASK, {
        "email": email, "nonce": nonce, "now": now, "until": now + GIVING_SPAN, "asked": int(now.timestamp()),
        "lane": bell.RECEIPTS, "english": ENGLISH,
        "mailings": rows({"language": language, "mailing_id": mailing} for language, mailing in mailings),
    })  # fmt: skip
    return [LettersComposed(None, bell.RECEIPTS)] if made is not None else []
