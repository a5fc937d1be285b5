"""The thank-you for a gift: composed once per contribution, from the form's own letter or the shipped one, in the donor's
language when that letter speaks it.

A gift that we send the receipt for is thanked for by that (`receipts`). If its form has a letter of thanks of its own, that
comes besides, once: for the first gift of a plan, not for its instalments.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.events import ContributionRecorded, DonorLearned, Event, InstalmentRecorded
from engine.languages import ENGLISH, catalogue
from engine.letters.vocabulary import greeted
from engine.money import amount
from engine.outreach import about_gifts
from engine.outreach.about_gifts import AS_GIVEN, RHYTHMS, WE_TELL, WORDS
from engine.settings import Settings

SHIPPED = "thank_you"

_FACTS = text(f"""
SELECT g.id, g.contact_id, g.inbound_event_id, g.amount_cents, g.currency, g.paid_at, g.paid_at_offset, g.fund_id,
    g.order_number, g.recurring_period, c.first_name, c.language, c.chapter_id,
    words.mailing_id, words.language AS spoken,
    coalesce(u.name, nullif(g.entity_name, ''), '') AS receiver
FROM contribution g JOIN contact c ON c.id = g.contact_id AND c.email IS NOT NULL
LEFT JOIN fund u ON u.id = g.fund_id
LEFT JOIN donation_form f ON f.id = g.donation_form_id
{WORDS.format(slug="coalesce(nullif(f.thanks_letter, ''), :shipped)", language=AS_GIVEN)}
WHERE g.id = ANY(:ids) AND (g.source <> ALL(:we_tell) OR f.thanks_letter <> '' AND g.sequence = 0) ORDER BY g.id
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
    values = {"ids": known, "shipped": SHIPPED, "english": ENGLISH, "we_tell": list(WE_TELL)}
    return about_gifts.compose(
        session,
        session.execute(_FACTS, values).all(),
        lambda gift: _letter(gift) | about_gifts.age(gift.paid_at, now, settings),
        now,
        slug=SHIPPED,
        speechless="gifts came and there are no words to thank with",
    )


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


def _day(paid_at: datetime, offset_minutes: int, language: str) -> str:
    """The day as the donor's receipt shows it: by the source's own wall clock."""
    return about_gifts.day(paid_at.astimezone(UTC) + timedelta(minutes=offset_minutes), language)
