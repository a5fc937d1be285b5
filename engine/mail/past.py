"""Letters in the archive: what is told of one late, and whose they are when people turn out to be one, or are erased.

What a provider tells of a letter that is in the archive says something of its reader alone: her address is suppressed, her
consent withdrawn, a link that she follows is a sign of life. Nothing is counted any more, and no gift is owed to it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.events import ContactErased, ContactMerged, Event, LetterReported
from engine.mail import tally
from engine.settings import Settings

# As of letters that are not in the archive: it went to that address, or to one that was hers before. In order of people, who
# are locked in the order of addresses.
_ATTRIBUTE = text("""
SELECT v.place, p.id AS message_id, 0 AS handover_id, c.id AS contact_id, c.email
FROM json_to_recordset(CAST(:rows AS json)) AS v(place int, message_id bigint, email text)
JOIN past_letter p ON p.id = v.message_id JOIN contact c ON c.id = p.contact_id
WHERE c.email = v.email OR c.email IS NULL OR v.email IS NULL
    OR EXISTS (SELECT FROM contact old WHERE old.merged_into_id = c.id AND old.email = v.email)
ORDER BY v.place
""")
# What is for whoever has this very address stays with it.
_MOVE = text("""
UPDATE past_letter p SET contact_id = o.merged_into_id FROM contact o
WHERE o.id = ANY(:ids) AND p.contact_id = o.id AND p.occasion !~ '^(sign-in|notice|trial):'
""")
_OCCASIONS = text("""
WITH gone AS (
    DELETE FROM past_occasion p USING contact o WHERE o.id = ANY(:ids) AND p.contact_id = o.id RETURNING o.merged_into_id, key
)
INSERT INTO past_occasion (contact_id, key) SELECT DISTINCT merged_into_id, key FROM gone ORDER BY 1, 2 ON CONFLICT DO NOTHING
""")
_SPARE = text("""
UPDATE message m SET state = 'cancelled', reason = 'the same letter under another address' FROM past_occasion o
WHERE m.contact_id = ANY(:into) AND m.state = 'ready' AND o.contact_id = m.contact_id
    AND o.key = hashtextextended(m.occasion, 0)
RETURNING m.version_id, m.campaign_id, m.mailing_id, coalesce(m.chapter_id, 0) AS chapter, m.step
""")
_SCRUB = text("UPDATE past_letter SET reason = '' WHERE contact_id = ANY(:ids) AND state <> 'skipped' AND reason <> ''")

# The tables of the archive that name a contact: moved by a merge, kept without words when she is erased.
MOVED = KEPT = frozenset({"past_letter", "past_occasion"})


def attributed(session: Session, told: Mapping[int, LetterReported]) -> Sequence[Row[Any]]:
    """Of these words, by their place, those about letters in the archive: place, message_id, handover_id (0), contact_id and
    her email (None: she was erased). One statement, none when no word names a letter."""
    named = [
        {"place": place, "message_id": word.message_id, "email": word.email}
        for place, word in told.items()
        if word.message_id is not None
    ]
    return session.execute(_ATTRIBUTE, {"rows": rows(named)}).all() if named else ()


def take_over(session: Session, merged: Sequence[ContactMerged], _: datetime, __: Settings) -> list[Event]:
    """Her letters of before are the other's; what the other got for an occasion does not come to her once more."""
    values = {"ids": [event.contact_id for event in merged], "into": [event.into_id for event in merged]}
    session.execute(_MOVE, values)
    session.execute(_OCCASIONS, values)
    return tally.of_steps((row, "cancelled") for row in session.execute(_SPARE, values))


def forget(session: Session, erased: Sequence[ContactErased], _: datetime, __: Settings) -> list[Event]:
    """Take out what was said of her letters."""
    session.execute(_SCRUB, {"ids": [event.contact_id for event in erased]})
    return []
