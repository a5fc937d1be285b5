"""The letter that asks whether it was she: nothing of what was typed stands in it, and nothing that invites."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine import bell
from engine.db import rows
from engine.events import ConfirmationAsked, Event, HumanNeeded, LettersComposed
from engine.languages import ENGLISH
from engine.letters import writing
from engine.settings import Settings

SHIPPED = "confirm"

# In the language of the form that was filled in, from the chapter whose form it was. Occasions are by day: once a day, even
# if more were asked for.
_COMPOSE = text("""
INSERT INTO message (contact_id, mailing_id, occasion, lane, due_at, expires_at, language, chapter_id, facts,
    inbound_event_id)
SELECT x.contact_id, words.mailing_id, 'confirm:' || CAST(x.asked_at AT TIME ZONE 'UTC' AS date), :lane, :now,
    x.expires_at, words.language, h.id, jsonb_build_object('confirmation_id', x.id), x.inbound_event_id
FROM confirmation x
LEFT JOIN chapter h ON h.slug = nullif(split_part(x.place, '/', 2), '')
LEFT JOIN LATERAL (
    SELECT s.detail -> 'wishes' ->> 'language' AS language FROM sign_up s
    WHERE s.contact_id = x.contact_id AND s.confirmation_id = x.id ORDER BY s.at DESC, s.id DESC LIMIT 1
) form ON true
CROSS JOIN LATERAL (
    SELECT v.language, v.mailing_id FROM json_to_recordset(CAST(:mailings AS json)) AS v(language text, mailing_id bigint)
    WHERE v.language IN (form.language, :english) ORDER BY (v.language = form.language) IS TRUE DESC LIMIT 1
) words
WHERE x.id = ANY(:ids) ORDER BY x.contact_id
ON CONFLICT (contact_id, occasion) DO NOTHING
RETURNING id
""")


def compose(session: Session, asked: Sequence[ConfirmationAsked], now: datetime, _: Settings) -> list[Event]:
    """Make the letters of these confirmations. The link in each is built when it is rendered, from the id that it keeps."""
    mailings = writing.spoken(session, SHIPPED)
    if not mailings:
        return [
            HumanNeeded(None, "no letter to send", SHIPPED, "people signed up and there are no words to ask them with")
        ]
    values = {
        "ids": [event.confirmation_id for event in asked],
        "mailings": rows({"language": language, "mailing_id": mailing} for language, mailing in mailings.items()),
        "lane": bell.RECEIPTS,
        "now": now,
        "english": ENGLISH,
    }
    made = session.execute(_COMPOSE, values).all()
    return [LettersComposed(None, bell.RECEIPTS)] if made else []
