"""Contributions: a reported gift is booked once, with its donor, its ledger entry and her totals, in one transaction.

One payment is one contribution. A source may tell it as a payment, as an instalment of a plan and as a finished checkout,
in any order: the first that names an amount books it, the others add what they know.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.events import (
    ContributionRecorded,
    ContributionReported,
    DonorLearned,
    Event,
    FactRecorded,
    HumanNeeded,
    InstalmentRecorded,
)
from engine.giving import donors, ledger, payment_words, plans
from engine.giving.donors import ADDRESSED
from engine.settings import Settings

# The number of a gift `g` that its donor reads and quotes: the payment's where it is known, else the source's own.
NUMBER = "coalesce(nullif(g.payment_key, ''), nullif(g.charge_key, ''), g.source_key)"

CONTRADICTION = "a gift told in two ways"  # the kind of notice

_TOLD = """json_to_recordset(CAST(:rows AS json)) AS v(
    source text, source_key text, cause bigint, email text, amount_cents bigint, currency text,
    paid_at timestamptz, paid_at_offset smallint, order_number text, sequence int, recurring_period text,
    form_slug text, refcode text, refcode2 text, entity_id bigint, entity_name text, payment_key text, charge_key text,
    plan_key text, express boolean, account text, language text, donor jsonb)"""

# Whose money: ActBlue says it by the entity of each line item. What comes in at Stripe is ours: the form's fund, else that of
# the account which it went to, else the first.
_OWN_FUND = "(SELECT min(id) FROM fund WHERE stripe_account = v.account), (SELECT min(id) FROM fund)"

# Who gave: of one who was merged, whom she is now.
_DONOR = """LEFT JOIN contact known ON known.email = v.email
LEFT JOIN contact c ON c.id = coalesce(known.merged_into_id, known.id)"""

_BOOK = text(f"""
INSERT INTO contribution (source, source_key, inbound_event_id, contact_id, fund_id, chapter_id, donation_form_id,
    amount_cents, currency, paid_at, paid_at_offset, order_number, sequence, recurring_period, form_slug,
    refcode, refcode2, entity_id, entity_name, payment_key, charge_key, plan_key, account, express, language, donor)
SELECT v.source, v.source_key, v.cause, c.id,
    CASE v.source WHEN 'stripe' THEN coalesce(f.fund_id, {_OWN_FUND}) ELSE e.fund_id END, c.chapter_id, f.id,
    v.amount_cents, v.currency, v.paid_at, v.paid_at_offset, v.order_number, v.sequence, v.recurring_period, v.form_slug,
    v.refcode, v.refcode2, v.entity_id, v.entity_name, v.payment_key, v.charge_key, v.plan_key, v.account, v.express,
    v.language, v.donor
FROM {_TOLD}
LEFT JOIN actblue_entity e ON e.entity_id = v.entity_id
LEFT JOIN donation_form f ON f.slug = v.form_slug
{_DONOR}
ORDER BY v.source, v.source_key, v.cause  -- of one id, what was told first is booked
ON CONFLICT DO NOTHING
RETURNING id, source, plan_key, contact_id, inbound_event_id, sequence
""")

# A payment that is on the books already under its own id, told as an invoice: it is known by that from now on, and by its
# words first.
_NAME = text(f"""
UPDATE contribution g SET source_key = v.source_key, plan_key = v.plan_key, sequence = v.sequence,
    recurring_period = v.recurring_period, contact_id = coalesce(c.id, g.contact_id),
    chapter_id = coalesce(c.chapter_id, g.chapter_id), language = CASE g.language WHEN '' THEN v.language ELSE g.language END,
    donor = g.donor || (SELECT coalesce(jsonb_object_agg(name, said), '{{}}') FROM jsonb_each_text(v.donor) d(name, said)
        WHERE said <> '')
FROM {_TOLD}
JOIN contribution o ON o.source = v.source AND o.payment_key = v.payment_key AND o.payment_key <> ''
{_DONOR}
WHERE v.source_key <> v.payment_key AND o.source_key = o.payment_key AND g.id = o.id AND NOT EXISTS (
    SELECT FROM contribution x WHERE (x.source, x.source_key) = (v.source, v.source_key))
RETURNING g.id, g.source, g.plan_key, v.cause, g.contact_id, o.contact_id AS contact_before,
    (SELECT k.id FROM contact k WHERE k.id = o.contact_id AND k.donor_key IS NULL) AS donor_before
""")

# What one word lacks, another has: the words that are there win, field by field. Reports imported later change nothing.
_COMPLETE = text(f"""
UPDATE contribution g SET contact_id = coalesce({ADDRESSED}, c.id, g.contact_id),
    chapter_id = CASE WHEN {ADDRESSED} IS NULL THEN coalesce(c.chapter_id, g.chapter_id)
        ELSE coalesce(g.chapter_id, c.chapter_id) END,
    charge_key = CASE g.charge_key WHEN '' THEN v.charge_key ELSE g.charge_key END,
    account = CASE g.account WHEN '' THEN v.account ELSE g.account END,
    form_slug = CASE g.form_slug WHEN '' THEN v.form_slug ELSE g.form_slug END,
    refcode = CASE g.refcode WHEN '' THEN v.refcode ELSE g.refcode END,
    refcode2 = CASE g.refcode2 WHEN '' THEN v.refcode2 ELSE g.refcode2 END,
    donation_form_id = coalesce(g.donation_form_id, f.id),
    fund_id = CASE WHEN g.source = 'stripe' AND g.donation_form_id IS NULL THEN coalesce(f.fund_id, g.fund_id)
        ELSE g.fund_id END,
    donor = g.donor || (SELECT coalesce(jsonb_object_agg(name, said), '{{}}') FROM jsonb_each_text(v.donor) d(name, said)
        WHERE said <> '' AND coalesce(g.donor ->> name, '') = '')
FROM {_TOLD}
{_DONOR}
LEFT JOIN donation_form f ON f.slug = v.form_slug
WHERE g.source = v.source AND g.payment_key = v.payment_key AND v.payment_key <> '' AND v.cause IS NOT NULL
    AND ({ADDRESSED} IS NULL AND c.id IS NOT NULL OR g.charge_key = '' AND v.charge_key <> ''
        OR g.account = '' AND v.account <> '' OR g.form_slug = '' AND v.form_slug <> '' OR g.refcode = '' AND v.refcode <> '')
RETURNING g.id, g.contact_id, old.contact_id AS contact_before, g.source, g.plan_key, v.cause
""")

# The same id with another amount or in another order: sources' ids should be unique, placeholders are not.
_DIFFERENT = text("""
SELECT DISTINCT v.cause, v.source_key, format('%s cents in order "%s"', v.amount_cents, v.order_number) AS said,
    format('%s cents in order "%s"', g.amount_cents, g.order_number) AS booked
FROM unnest(CAST(:sources AS text[]), CAST(:keys AS text[]), CAST(:amounts AS bigint[]), CAST(:orders AS text[]),
    CAST(:causes AS bigint[])) AS v(source, source_key, amount_cents, order_number, cause)
JOIN contribution g ON (g.source, g.source_key) = (v.source, v.source_key)
WHERE (g.amount_cents, g.order_number) <> (v.amount_cents, v.order_number)
""")

_LINKED = text("""
SELECT l.source, l.source_key, l.payment_key FROM payment_link l
JOIN unnest(CAST(:sources AS text[]), CAST(:keys AS text[])) k(source, source_key)
    ON (l.source, l.source_key) = (k.source, k.source_key)
""")


def record(session: Session, reported: Sequence[ContributionReported], now: datetime, _: Settings) -> list[Event]:
    """Book these gifts. One that is on the books already adds at most what it knows better; one that is told with another
    amount or in another order as well makes a person look."""
    told = {"rows": rows(_record(gift) for gift in _linked(session, reported))}
    booked = session.execute(_BOOK, told).all()
    again = len(booked) < len(reported)
    named = session.execute(_NAME, told).all() if again else []
    completed = session.execute(_COMPLETE, told).all() if again else []
    different = session.execute(_DIFFERENT, _columns(reported)).all()
    checked = payment_words.complete(session, [row.id for row in (*booked, *named)])
    doubtful = [row.id for row in booked if row.contact_id is None] + [row.id for row in (*named, *completed)]
    settled = donors.settle(session, doubtful, now)
    ledger.settle(session, {row.id for row in (*booked, *named, *completed)})
    causes = {(row.source, row.plan_key): row.inbound_event_id for row in booked if row.plan_key}
    causes |= {(row.source, row.plan_key): row.cause for row in (*named, *completed) if row.plan_key}
    followed = plans.follow(session, causes)
    donors.forget(session, donors.left(named, completed, checked, settled.gifts))
    whose = {row.id: row.contact_id for row in (*booked, *named, *completed, *checked, *settled.gifts)}
    hidden = {row.id for row in settled.gifts}
    return [
        *(_recorded(row, whose[row.id]) for row in booked),
        *(FactRecorded(row.cause) for row in named),
        *(
            DonorLearned(row.cause, row.id, whose[row.id])
            for row in (*completed, *(row for row in named if row.donor_before is None))
            if whose[row.id] is not None and row.id not in hidden
        ),
        *followed,
        *settled.moved,
        *(HumanNeeded(row.cause, CONTRADICTION, f"line item {row.source_key}", _differs(row)) for row in different),
    ]


def _linked(session: Session, reported: Sequence[ContributionReported]) -> Sequence[ContributionReported]:
    """The same gifts; those told without their payment have it by the link that was told apart, if it was."""
    lacking = [gift for gift in reported if not gift.payment_key]
    if not lacking:
        return reported
    keys = {"sources": [gift.source for gift in lacking], "keys": [gift.source_key for gift in lacking]}
    links = {(row.source, row.source_key): row.payment_key for row in session.execute(_LINKED, keys)}
    return [
        replace(gift, payment_key=gift.payment_key or links.get((gift.source, gift.source_key), ""))
        for gift in reported
    ]


def _columns(gifts: Sequence[ContributionReported]) -> dict[str, object]:
    return {
        "sources": [gift.source for gift in gifts],
        "keys": [gift.source_key for gift in gifts],
        "amounts": [gift.amount_cents for gift in gifts],
        "orders": [gift.order_number for gift in gifts],
        "causes": [gift.cause for gift in gifts],
    }


def _recorded(row: Row[Any], contact_id: int | None) -> Event:
    kind = InstalmentRecorded if row.sequence > 0 else ContributionRecorded
    return kind(row.inbound_event_id, row.id, contact_id)


def _differs(row: Row[Any]) -> str:
    return f"on the books: {row.booked}; inbound event {row.cause} says {row.said}"


def _record(gift: ContributionReported) -> dict[str, object]:
    return {
        "source": gift.source,
        "source_key": gift.source_key,
        "cause": gift.cause,
        "email": gift.donor.email,
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
        "payment_key": gift.payment_key,
        "charge_key": gift.charge_key,
        "plan_key": gift.plan_key,
        "express": gift.express,
        "account": gift.account,
        "language": gift.language,
        "donor": gift.donor,
    }
