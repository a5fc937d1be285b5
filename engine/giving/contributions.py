"""Contributions: a reported gift is booked once, with its donor, its ledger entry and her totals, in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.events import ContributionRecorded, ContributionReported, Event, HumanNeeded
from engine.giving import totals
from engine.people import contacts
from engine.settings import Settings

# Fund by ActBlue entity, form by its name, chapter by the donor's home: looked up as the rows go in.
_BOOK = text("""
INSERT INTO contribution (source, source_key, inbound_event_id, contact_id, fund_id, chapter_id, donation_form_id,
    amount_cents, currency, paid_at, paid_at_offset, order_number, sequence, recurring_period, form_slug,
    refcode, refcode2, entity_id, entity_name, donor)
SELECT v.source, v.source_key, v.cause, v.contact_id, e.fund_id, c.chapter_id, f.id,
    v.amount_cents, v.currency, v.paid_at, v.paid_at_offset, v.order_number, v.sequence, v.recurring_period, v.form_slug,
    v.refcode, v.refcode2, v.entity_id, v.entity_name, v.donor
FROM json_to_recordset(CAST(:rows AS json)) AS v(
    source text, source_key text, cause bigint, contact_id bigint, amount_cents bigint, currency text,
    paid_at timestamptz, paid_at_offset smallint, order_number text, sequence int, recurring_period text,
    form_slug text, refcode text, refcode2 text, entity_id bigint, entity_name text, donor jsonb)
LEFT JOIN actblue_entity e ON e.entity_id = v.entity_id
LEFT JOIN donation_form f ON f.slug = v.form_slug
LEFT JOIN contact c ON c.id = v.contact_id
ORDER BY v.source, v.source_key
ON CONFLICT (source, source_key, order_number) DO NOTHING
RETURNING id, contact_id, inbound_event_id
""")

_ENTER = text("""
INSERT INTO ledger_entry (contribution_id, kind, source, source_key, amount_cents, currency, occurred_at)
SELECT id, 'gift', source, source_key, amount_cents, currency, paid_at FROM contribution WHERE id = ANY(:ids)
ORDER BY id
""")


_DIFFERENT = text("""
SELECT v.cause, v.source_key,
    format('%s cents in order "%s"', v.amount_cents, v.order_number) AS said,
    format('%s cents in order "%s"', g.amount_cents, g.order_number) AS booked
FROM json_to_recordset(CAST(:rows AS json)) AS v(
    source text, source_key text, order_number text, cause bigint, amount_cents bigint)
JOIN contribution g ON (g.source, g.source_key) = (v.source, v.source_key)
WHERE (g.amount_cents, g.order_number) <> (v.amount_cents, v.order_number)
""")


CONTRADICTION = "a gift told in two ways"  # the kind of notice


def record(session: Session, reported: Sequence[ContributionReported], _: datetime, __: Settings) -> list[Event]:
    """Book these gifts. One that is on the books already changes nothing; one that is told with another amount or in another
    order as well makes a person look."""
    known = contacts.admit(session, ((gift.donor, gift.paid_at) for gift in reported))
    records = [_record(gift, known) for gift in reported]
    booked = session.execute(_BOOK, {"rows": rows(records)}).all()
    different = session.execute(_DIFFERENT, {"rows": rows(records)}).all()
    session.execute(_ENTER, {"ids": [row.id for row in booked]})
    totals.refresh(session, {row.contact_id for row in booked if row.contact_id is not None})
    return [
        *(ContributionRecorded(row.inbound_event_id, row.id, row.contact_id) for row in booked),
        *(HumanNeeded(row.cause, CONTRADICTION, f"line item {row.source_key}", _differs(row)) for row in different),
    ]


def _differs(row: Row[tuple[object, ...]]) -> str:
    return f"on the books: {row.booked}; inbound event {row.cause} says {row.said}"


def _record(gift: ContributionReported, known: Mapping[str, int]) -> dict[str, object]:
    return {
        "source": gift.source,
        "source_key": gift.source_key,
        "cause": gift.cause,
        "contact_id": known[gift.donor.email] if gift.donor.email else None,
        "amount_cents": gift.amount_cents,
        "currency": gift.currency,
        "paid_at": gift.paid_at,
        "paid_at_offset": (gift.paid_at.utcoffset() or timedelta()) // timedelta(minutes=1),
        "order_number": gift.order_number,
        "sequence": gift.sequence,
        "recurring_period": gift.recurring_period,
        "form_slug": gift.form_slug,
        "refcode": gift.refcode,
        "refcode2": gift.refcode2,
        "entity_id": gift.entity_id,
        "entity_name": gift.entity_name,
        "donor": asdict(gift.donor),
    }
