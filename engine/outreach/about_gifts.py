"""What letters about money share: who tells a donor what became of it, how a gift is put in words, and how such letters are
inserted, each once.

ActBlue sends its own receipts, words on refunds and notices of failed cards: of its gifts and plans nobody here repeats them.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine import bell, languages
from engine.db import rows
from engine.events import Event, HumanNeeded, LettersComposed
from engine.settings import Settings

# Sources whose receipts, notices of refunds and letters on failed cards are ours to send. Of all others we only say thanks.
WE_TELL = ("stripe",)
RHYTHMS = {"monthly": " a month", "weekly": " a week", "quarterly": " a quarter", "yearly": " a year"}

# The newest words of the letter `slug`, in this language when it speaks it, else in English: that of contact `c`, or before
# it the one in which gift `g` was made.
HERS = "c.language"
AS_GIVEN = f"coalesce(nullif(g.language, ''), {HERS})"
WORDS = """
LEFT JOIN LATERAL (
    SELECT m.id AS mailing_id, m.language FROM letter l JOIN mailing m ON m.letter_id = l.id
    WHERE l.slug = {slug} AND m.language IN ({language}, :english)
        AND m.version = (SELECT max(version) FROM mailing WHERE letter_id = l.id)
    ORDER BY (m.language = {language}) DESC LIMIT 1
) words ON true
"""

_COMPOSE = text("""
INSERT INTO message (contact_id, mailing_id, occasion, lane, state, reason, due_at, language, chapter_id, fund_id, facts,
    inbound_event_id)
SELECT contact_id, mailing_id, occasion, :lane, state, reason, :due, language, chapter_id, fund_id, facts, cause
FROM json_to_recordset(CAST(:rows AS json)) AS v(contact_id bigint, mailing_id bigint, occasion text, state text,
    reason text, language text, chapter_id bigint, fund_id bigint, facts jsonb, cause bigint)
ORDER BY contact_id, occasion
ON CONFLICT (contact_id, occasion) DO NOTHING
RETURNING id, state
""")


def compose(
    session: Session, found: Sequence[Row[Any]], letter: Callable[[Row[Any]], Mapping[str, object]], now: datetime,
    *, slug: str, speechless: str,
) -> list[Event]:  # fmt: skip
    """Insert one `letter` for each of these rows, unless its occasion has one already. What rings their bell, if one is to
    leave; and what tells a person, in the words of `speechless`, that some found no words of the letter `slug`."""
    if not found:
        return []
    spoken = [row for row in found if row.mailing_id is not None]
    made = session.execute(_COMPOSE, {"rows": rows(map(letter, spoken)), "lane": bell.RECEIPTS, "due": now}).all()
    events: list[Event] = []
    if any(row.state == "ready" for row in made):
        events.append(LettersComposed(None, bell.RECEIPTS))
    if len(spoken) < len(found):
        events.append(HumanNeeded(None, "no letter to send", slug, speechless))
    return events


def age(at: datetime, now: datetime, settings: Settings, what: str = "the gift was") -> dict[str, object]:
    """Whether a letter about something of then may still leave: as the columns `state` and `reason` of its row. What is older
    than the house allows is a backfill, or a provider's late burst."""
    hours = (now - at) // timedelta(hours=1)
    if hours < settings.letter_age_hours:
        return {"state": "ready", "reason": ""}
    return {"state": "skipped", "reason": f"{what} {hours} hours old, more than {settings.letter_age_hours}"}


def day(at: datetime, language: str) -> str:
    """The day as its own clock has it: "June 7, 2019", "7 de junio de 2019"."""
    return languages.long_date(at.date(), language)
