"""The thank-you for a gift: composed once per contribution, from the form's own letter or the shipped one, in the donor's
language when that letter speaks it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from babel.dates import format_date
from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine import bell
from engine.db import rows
from engine.events import ContributionRecorded, DonorLearned, Event, HumanNeeded, InstalmentRecorded, LettersComposed
from engine.languages import ENGLISH, catalogue
from engine.letters.vocabulary import greeted
from engine.money import amount
from engine.settings import Settings

SHIPPED = "thank_you"
RHYTHMS = {"monthly": " a month", "weekly": " a week", "quarterly": " a quarter", "yearly": " a year"}

_FACTS = text("""
SELECT g.id, g.contact_id, g.inbound_event_id, g.amount_cents, g.currency, g.paid_at, g.paid_at_offset, g.fund_id,
    g.order_number, g.recurring_period, c.first_name, c.language, c.chapter_id,
    words.mailing_id, words.language AS spoken,
    coalesce(u.name, nullif(g.entity_name, ''), '') AS receiver
FROM contribution g JOIN contact c ON c.id = g.contact_id AND c.email IS NOT NULL
LEFT JOIN fund u ON u.id = g.fund_id
LEFT JOIN donation_form f ON f.id = g.donation_form_id
LEFT JOIN LATERAL (
    SELECT m.id AS mailing_id, m.language FROM letter l JOIN mailing m ON m.letter_id = l.id
    WHERE l.slug = coalesce(nullif(f.thanks_letter, ''), :shipped) AND m.language IN (c.language, :english)
        AND m.version = (SELECT max(version) FROM mailing WHERE letter_id = l.id)
    ORDER BY (m.language = c.language) DESC LIMIT 1
) words ON true
WHERE g.id = ANY(:ids) ORDER BY g.id
""")

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
    session: Session,
    recorded: Sequence[ContributionRecorded | InstalmentRecorded | DonorLearned],
    now: datetime,
    settings: Settings,
) -> list[Event]:
    """Make the thank-you letters of these gifts. A gift whose form hid the address has nobody to write to; one that is older
    than the house allows (a backfill, a provider's late burst) gets a letter that is skipped, and says so."""
    known = [event.contribution_id for event in recorded if event.contact_id is not None]
    found = session.execute(_FACTS, {"ids": known, "shipped": SHIPPED, "english": ENGLISH}).all()
    letters = [_letter(gift) | _age(gift, now, settings) for gift in found if gift.mailing_id is not None]
    made = session.execute(_COMPOSE, {"rows": rows(letters), "lane": bell.RECEIPTS, "due": now}).all()
    ready = any(row.state == "ready" for row in made)
    events: list[Event] = [LettersComposed(None, bell.RECEIPTS)] if ready else []
    if len(letters) < len(found):
        events.append(
            HumanNeeded(None, "no letter to send", SHIPPED, "gifts came and there are no words to thank with")
        )
    return events


def _letter(gift: Row[tuple[object, ...]]) -> dict[str, object]:
    language = str(gift.spoken)
    spoken = catalogue(language).gettext
    return {
        "contact_id": gift.contact_id,
        "mailing_id": gift.mailing_id,
        "occasion": f"gift:{gift.id}:thanks",
        "language": language,
        "chapter_id": gift.chapter_id,
        "fund_id": gift.fund_id,
        "cause": gift.inbound_event_id,
        "facts": {
            "first_name": greeted(gift.first_name) or spoken("friend"),
            "amount": amount(gift.amount_cents, gift.currency),
            "given_on": _day(gift.paid_at, gift.paid_at_offset, language),
            "receiver": gift.receiver,
            "order_number": gift.order_number,
            "rhythm": spoken(rhythm) if (rhythm := RHYTHMS.get(str(gift.recurring_period), "")) else "",
        },
    }


def _age(gift: Row[tuple[object, ...]], now: datetime, settings: Settings) -> dict[str, object]:
    """Whether this letter may still leave: the last moment for news of a gift is some time after the gift."""
    hours = (now - gift.paid_at) // timedelta(hours=1)
    if hours < settings.letter_age_hours:
        return {"state": "ready", "reason": ""}
    return {"state": "skipped", "reason": f"the gift was {hours} hours old, more than {settings.letter_age_hours}"}


def _day(paid_at: datetime, offset_minutes: int, language: str) -> str:
    """The day as the donor's receipt shows it: the source's own wall clock. "June 7, 2019", "7 de junio de 2019"."""
    from_utc = paid_at.astimezone(UTC) + timedelta(minutes=offset_minutes)
    return format_date(from_utc.date(), "long", locale=language)
