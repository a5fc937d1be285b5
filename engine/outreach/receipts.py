"""The receipt for a gift whose receipt is ours to send (`about_gifts.WE_TELL`): one for each gift and each instalment, once.

It says thank you as well. Its own words: who gave, as she said it then (what is no plain name is left out), amount, day (by
the house's clock on the wall), receiver by its legal name, what for, the number of the payment; the fund's disclaimer and its
line on deductibility stand at the foot of each of its letters. Of a gift that comes again and again it also says where she
looks after it; that link names nobody.
"""

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.events import ContributionRecorded, DonorLearned, Event, InstalmentRecorded, PaymentLinked
from engine.giving import contributions
from engine.languages import ENGLISH, catalogue
from engine.letters.vocabulary import greeted, plain
from engine.money import amount
from engine.outreach import about_gifts
from engine.outreach.about_gifts import AS_GIVEN, RHYTHMS, WE_TELL, WORDS
from engine.settings import Settings

SHIPPED = "receipt"
OWN_PLANS = "/give/me"  # where everybody asks for the way to her own monthly gifts

# What for: the title of the form, in her language if it has one there. A gift that was taken back as a double has no receipt.
_FACTS = text(f"""
SELECT g.id, g.contact_id, g.inbound_event_id, g.amount_cents, g.currency, g.paid_at, g.fund_id, g.recurring_period,
    {contributions.NUMBER} AS number, c.first_name, c.chapter_id,
    g.donor ->> 'first_name' AS given_first, g.donor ->> 'last_name' AS given_last,
    words.mailing_id, words.language AS spoken, coalesce(u.name, '') AS receiver,
    coalesce(v.definition -> 'others' -> words.language ->> 'title', f.title, '') AS title
FROM contribution g JOIN contact c ON c.id = g.contact_id AND c.email IS NOT NULL
LEFT JOIN fund u ON u.id = g.fund_id
LEFT JOIN donation_form f ON f.id = g.donation_form_id
LEFT JOIN donation_form_version v ON v.donation_form_id = f.id AND v.version = f.version
{WORDS.format(slug=":shipped", language=AS_GIVEN)}
WHERE g.id = ANY(:ids) AND g.source = ANY(:we_tell) AND g.status <> 'duplicate' ORDER BY g.id
""")


# A payment that is told apart from its instalment, and later than that: a receipt that has not left names it.
_RENUMBER = text("""
UPDATE message m SET facts = m.facts || jsonb_build_object('payment_number', g.payment_key)
FROM contribution g JOIN unnest(CAST(:sources AS text[]), CAST(:keys AS text[])) k(source, source_key)
    ON (g.source, g.source_key) = (k.source, k.source_key)
WHERE g.payment_key <> '' AND m.contact_id = g.contact_id AND m.occasion = 'gift:' || g.id || '\\:receipt'
    AND m.state = 'ready' AND m.facts ->> 'payment_number' <> g.payment_key
""")


def compose(
    session: Session,
    recorded: Sequence[ContributionRecorded | InstalmentRecorded | DonorLearned],
    now: datetime,
    settings: Settings,
) -> list[Event]:
    """Make the receipts of these gifts. Nobody to write to: none. One that is older than the house allows: skipped."""
    known = [event.contribution_id for event in recorded if event.contact_id is not None]
    values = {"ids": known, "shipped": SHIPPED, "english": ENGLISH, "we_tell": list(WE_TELL)}
    return about_gifts.compose(
        session,
        session.execute(_FACTS, values).all(),
        lambda gift: _letter(gift, settings) | about_gifts.age(gift.paid_at, now, settings),
        now,
        slug=SHIPPED,
        speechless="gifts came and there are no words for their receipts",
    )


def renumber(session: Session, told: Sequence[PaymentLinked], _: datetime, __: Settings) -> list[Event]:
    """Receipts of these instalments that have not left say which payment it was."""
    keys = {"sources": [event.source for event in told], "keys": [event.source_key for event in told]}
    session.execute(_RENUMBER, keys)
    return []


def _letter(gift: Row[tuple[object, ...]], settings: Settings) -> dict[str, object]:
    language, period = str(gift.spoken), str(gift.recurring_period)
    said = catalogue(language).gettext
    donor = " ".join(filter(None, (greeted(gift.given_first or ""), greeted(gift.given_last or ""))))
    return {
        "contact_id": gift.contact_id,
        "mailing_id": gift.mailing_id,
        "occasion": f"gift:{gift.id}:receipt",
        "language": language,
        "chapter_id": gift.chapter_id,
        "fund_id": gift.fund_id,
        "cause": gift.inbound_event_id,
        "facts": {
            "first_name": greeted(gift.first_name) or said("friend"),
            "donor_name": donor,
            "named": donor != "",
            "amount": amount(gift.amount_cents, gift.currency),
            "given_on": about_gifts.day(gift.paid_at.astimezone(ZoneInfo(settings.time_zone)), language),
            "receiver": gift.receiver,
            "purpose": plain(gift.title) or said("Contribution"),
            "payment_number": gift.number,
            "rhythm": said(RHYTHMS[period]) if period in RHYTHMS else "",
            "comes_again": period != "once",
            "own_plans_url": settings.base_url + OWN_PLANS,
        },
    }
