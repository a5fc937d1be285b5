"""Long silence: who got letters for a year and did nothing is asked once whether she still wants them, and then rests.

Silence is counted from the last thing she did (a gift, a click, a sign-up, a choice; never a machine's). Whatever she does
later ends the rest by itself. An address that nobody reads any more harms the letters to all others.
"""

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine import bell
from engine.db import rows
from engine.events import Event, LettersComposed
from engine.languages import ENGLISH
from engine.letters import writing
from engine.people.consent import mailable
from engine.settings import Settings

SHIPPED = "still_there"
KIND = "news"
ANSWER = timedelta(days=30)  # so long she has to answer
STALE = timedelta(days=14)
FEWEST = 3  # letters in that time: who got none was not silent
STRETCH = 20_000  # contacts looked at in one transaction

_STRETCH = text("SELECT max(id) FROM (SELECT id FROM contact WHERE id > :after ORDER BY id LIMIT :most) s")
_ASK = text(f"""
INSERT INTO message (contact_id, mailing_id, occasion, lane, kind, due_at, expires_at, language, chapter_id, facts)
SELECT c.id, words.mailing_id, 'still-there:' || CAST(coalesce(c.engaged_last_at, c.created_at) AS date), :lane, :kind, :now,
    CAST(:now AS timestamptz) + :stale, words.language, c.chapter_id, '{{}}'
FROM contact c CROSS JOIN LATERAL (
    SELECT v.language, v.mailing_id FROM json_to_recordset(CAST(:mailings AS json)) AS v(language text, mailing_id bigint)
    WHERE v.language IN (c.language, :english) ORDER BY v.language = c.language DESC LIMIT 1
) words
WHERE c.id > :after AND c.id <= :upto AND c.erased_at IS NULL AND c.merged_into_id IS NULL AND c.email IS NOT NULL
    AND coalesce(c.engaged_last_at, c.created_at) < CAST(:now AS timestamptz) - :silence
    AND (c.rested_at IS NULL OR c.rested_at < coalesce(c.engaged_last_at, '-infinity'))
    AND (SELECT count(*) FROM message m
        WHERE m.contact_id = c.id AND m.lane = 'delivery' AND m.state IN ('handed', 'delivered')
            AND m.handed_at > coalesce(c.engaged_last_at, c.created_at)) >= :fewest
    AND {mailable("'news'", "c.chapter_id")}
ON CONFLICT (contact_id, occasion) DO NOTHING
RETURNING id
""")
_REST = text("""
UPDATE contact c SET rested_at = :now FROM message m
WHERE m.contact_id = c.id AND c.id > :after AND c.id <= :upto AND m.occasion LIKE 'still-there:%'
    AND m.handed_at < CAST(:now AS timestamptz) - :answer AND m.state IN ('handed', 'delivered')
    AND coalesce(c.engaged_last_at, '-infinity') < m.handed_at
    AND (c.rested_at IS NULL OR c.rested_at < m.handed_at)
RETURNING c.id
""")


def look(
    session: Session, after: int, now: datetime, settings: Settings, stretch: int = STRETCH
) -> tuple[list[Event], int, int | None]:
    """One stretch of contacts behind this id: ask who was silent for too long, rest who did not answer.

    Returns what followed, how many rest from now on, and the id to go on after; None: that was the last.
    """
    upto = session.scalar(_STRETCH, {"after": after, "most": stretch})
    mailings = writing.spoken(session, SHIPPED)
    if upto is None or not mailings:
        return [], 0, None
    between = {"after": after, "upto": upto, "now": now}
    rested = len(session.execute(_REST, between | {"answer": ANSWER}).all())
    values = between | {
        "lane": bell.DELIVERY, "kind": KIND, "stale": STALE, "english": ENGLISH, "fewest": FEWEST,
        "silence": timedelta(days=settings.sunset_days),
        "mailings": rows({"language": language, "mailing_id": mailing} for language, mailing in mailings.items()),
    }  # fmt: skip
    asked = session.execute(_ASK, values).all()
    return [LettersComposed(None, bell.DELIVERY)] if asked else [], rested, int(upto)
