"""The word to a donor that money is on its way back to her, of gifts whose refunds are ours to tell (`about_gifts.WE_TELL`).

What went back is what the ledger took: one entry, one letter. So a refund that is told by itself, within a running total, or
both, in any order, is told to her once. A refund that fails is for staff to look at, and she hears of it from them: a letter
about money that comes and does not come is worse than none.
"""

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.events import (
    ContributionRecorded,
    DonorLearned,
    Event,
    HumanNeeded,
    InstalmentRecorded,
    RefundFailed,
    RefundRecorded,
)
from engine.languages import ENGLISH, catalogue
from engine.letters.vocabulary import greeted
from engine.money import amount
from engine.outreach import about_gifts
from engine.outreach.about_gifts import HERS, WE_TELL, WORDS
from engine.settings import Settings

SHIPPED = "refund_notice"
FAILED = "refund failed"  # the kind of notice

# Entries of the ledger, by refunds or by gifts that were booked after theirs. One that failed already is none.
_FACTS = text(f"""
SELECT l.id, l.amount_cents AS moved_cents, l.currency, l.occurred_at, g.contact_id, g.fund_id, g.amount_cents, g.paid_at,
    r.inbound_event_id, c.first_name, c.chapter_id, words.mailing_id, words.language AS spoken,
    coalesce(u.name, '') AS receiver
FROM ledger_entry l JOIN contribution g ON g.id = l.contribution_id
JOIN contact c ON c.id = g.contact_id AND c.email IS NOT NULL
LEFT JOIN refund r ON (r.source, r.source_key) = (l.source, l.source_key)
LEFT JOIN fund u ON u.id = g.fund_id
{WORDS.format(slug=":shipped", language=HERS)}
WHERE l.contribution_id = ANY(:gifts) AND l.kind = 'refund' AND l.source = ANY(:we_tell) AND g.status <> 'duplicate'
    AND r.state IS DISTINCT FROM 'failed' ORDER BY l.id
""")

_FAILED = text("""
SELECT r.id, r.source_key, r.amount_cents, r.currency, r.contribution_id, (
    SELECT m.id FROM ledger_entry l JOIN contribution g ON g.id = l.contribution_id
    JOIN message m ON m.contact_id = g.contact_id AND m.occasion = 'refund:' || l.id || '\\:notice'
    WHERE l.contribution_id = r.contribution_id AND l.kind = 'refund' AND (l.source, l.source_key) = (r.source, r.source_key)
) AS message_id, EXISTS (
    SELECT FROM ledger_entry l WHERE l.contribution_id = r.contribution_id AND l.kind = 'refund' AND l.source = r.source
        AND r.charge_key <> '' AND starts_with(l.source_key, r.charge_key || '/')
) AS in_a_total
FROM refund r WHERE r.id = ANY(:ids) AND r.state = 'failed' AND r.source = ANY(:we_tell) ORDER BY r.id
""")
_TAKE_BACK = text("""
UPDATE message SET state = 'cancelled', reason = 'the refund failed' WHERE id = ANY(:ids) AND state = 'ready' RETURNING id
""")


def compose(
    session: Session,
    recorded: Sequence[RefundRecorded | ContributionRecorded | InstalmentRecorded | DonorLearned],
    now: datetime,
    settings: Settings,
) -> list[Event]:
    """Make the letters on what went back of these gifts, each once. One about a refund of long ago is skipped."""
    gifts = {event.contribution_id for event in recorded if event.contribution_id is not None}
    if not gifts:
        return []
    values = {"gifts": sorted(gifts), "shipped": SHIPPED, "english": ENGLISH, "we_tell": list(WE_TELL)}
    return about_gifts.compose(
        session,
        session.execute(_FACTS, values).all(),
        lambda entry: _letter(entry, settings) | about_gifts.age(entry.occurred_at, now, settings, "the refund was"),
        now,
        slug=SHIPPED,
        speechless="money went back and there are no words to say so",
    )


def failed(session: Session, told: Sequence[RefundFailed], _: datetime, __: Settings) -> list[Event]:
    """A person looks at these: the money is ours again, and the donor may wait for it. A letter that has not left stays."""
    values = {"ids": [event.refund_id for event in told], "we_tell": list(WE_TELL)}
    found = session.execute(_FAILED, values).all()
    written = [row.message_id for row in found if row.message_id is not None]
    kept = set(session.scalars(_TAKE_BACK, {"ids": written})) if written else set()
    return [HumanNeeded(None, FAILED, f"refund {row.source_key}", _failure(row, kept)) for row in found]


def _failure(row: Row[tuple[object, ...]], kept: set[int]) -> str:
    told = row.in_a_total or (row.message_id is not None and row.message_id not in kept)
    of = f"contribution {row.contribution_id}" if row.contribution_id else "a gift that is not booked"
    knows = "she was told that it is on its way" if told else "she was not told of it"
    return f"{amount(int(row.amount_cents), str(row.currency))} of {of} came back to us; {knows}"


def _letter(entry: Row[tuple[object, ...]], settings: Settings) -> dict[str, object]:
    language, zone = str(entry.spoken), ZoneInfo(settings.time_zone)
    said = catalogue(language).gettext
    return {
        "contact_id": entry.contact_id,
        "mailing_id": entry.mailing_id,
        "occasion": f"refund:{entry.id}:notice",
        "language": language,
        "chapter_id": entry.chapter_id,
        "fund_id": entry.fund_id,
        "cause": entry.inbound_event_id,
        "facts": {
            "first_name": greeted(entry.first_name) or said("friend"),
            "refunded": amount(-entry.moved_cents, entry.currency),
            "amount": amount(entry.amount_cents, entry.currency),
            "given_on": about_gifts.day(entry.paid_at.astimezone(zone), language),
            "receiver": entry.receiver,
            "whole": -entry.moved_cents == entry.amount_cents,  # then a bank may let the charge itself vanish
        },
    }
