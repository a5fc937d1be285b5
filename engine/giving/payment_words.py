"""Words about a payment that come apart from it: the checkout that led to it, the link from an instalment to it."""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.events import CheckoutReported, DonorLearned, Event, FactRecorded, HumanNeeded, PaymentLinked
from engine.giving import donors, ledger, plans
from engine.giving.donors import ADDRESSED
from engine.settings import Settings

TWICE = "one payment booked twice"  # the kind of notice

_KEEP = text("""
INSERT INTO checkout_session (source, source_key, payment_key, plan_key, donor, form_slug, refcode, refcode2,
    completed_at, typed, language, inbound_event_id)
SELECT source, source_key, payment_key, plan_key, donor, form_slug, refcode, refcode2, completed_at, typed, language, cause
FROM json_to_recordset(CAST(:rows AS json)) AS v(source text, source_key text, payment_key text, plan_key text,
    donor jsonb, form_slug text, refcode text, refcode2 text, completed_at timestamptz, typed boolean, language text,
    cause bigint)
ORDER BY source, source_key, cause
ON CONFLICT (source, source_key) DO NOTHING
RETURNING id, inbound_event_id
""")

_LED_TO = text(f"""
SELECT g.id, {ADDRESSED} AS contact_id, g.source, g.plan_key, s.inbound_event_id FROM checkout_session s JOIN contribution g
    ON g.source = s.source AND g.payment_key = s.payment_key AND s.payment_key <> '' WHERE s.id = ANY(:ids)
UNION
SELECT g.id, {ADDRESSED}, g.source, g.plan_key, s.inbound_event_id FROM checkout_session s JOIN contribution g
    ON g.source = s.source AND g.plan_key = s.plan_key AND s.plan_key <> '' WHERE s.id = ANY(:ids)
""")

# By the payment a checkout led to or the plan it began; of several the one with the smallest id at the source. What the
# payment says itself stays, but for what its donor typed on a page of ours.
_COMPLETE = text(f"""
UPDATE contribution g SET contact_id = coalesce({ADDRESSED}, t.contact_id, g.contact_id),
    chapter_id = CASE WHEN {ADDRESSED} IS NULL THEN coalesce(t.chapter_id, g.chapter_id)
        ELSE coalesce(g.chapter_id, t.chapter_id) END,
    form_slug = CASE g.form_slug WHEN '' THEN t.form_slug ELSE g.form_slug END,
    refcode = CASE g.refcode WHEN '' THEN t.refcode ELSE g.refcode END,
    refcode2 = CASE g.refcode2 WHEN '' THEN t.refcode2 ELSE g.refcode2 END,
    language = CASE WHEN g.language = '' AND g.sequence = 0 THEN t.language ELSE g.language END,
    donation_form_id = coalesce(g.donation_form_id, t.form_id),
    fund_id = CASE WHEN g.donation_form_id IS NULL THEN coalesce(t.fund_id, g.fund_id) ELSE g.fund_id END,
    donor = g.donor || (SELECT coalesce(jsonb_object_agg(name, said), '{{}}') FROM jsonb_each_text(t.donor) d(name, said)
        WHERE said <> '' AND (t.typed OR coalesce(g.donor ->> name, '') = ''))
FROM (
    SELECT DISTINCT ON (x.contribution_id) x.contribution_id, s.donor, s.typed, s.language, s.form_slug, s.refcode,
        s.refcode2, c.id AS contact_id, c.chapter_id, f.id AS form_id, f.fund_id
    FROM (
        SELECT g.id AS contribution_id, s.id FROM contribution g JOIN checkout_session s
            ON s.source = g.source AND s.payment_key = g.payment_key AND s.payment_key <> '' WHERE g.id = ANY(:ids)
        UNION
        SELECT g.id, s.id FROM contribution g JOIN checkout_session s
            ON s.source = g.source AND s.plan_key = g.plan_key AND s.plan_key <> '' WHERE g.id = ANY(:ids)
    ) x JOIN checkout_session s ON s.id = x.id
    LEFT JOIN contact known ON known.email = s.donor ->> 'email'
    LEFT JOIN contact c ON c.id = coalesce(known.merged_into_id, known.id)
    LEFT JOIN donation_form f ON f.slug = s.form_slug
    ORDER BY x.contribution_id, s.source_key
) t
WHERE g.id = t.contribution_id
RETURNING g.id, g.contact_id, old.contact_id AS contact_before
""")

_LINK = text("""
INSERT INTO payment_link (source, source_key, payment_key)
SELECT source, source_key, payment_key
FROM json_to_recordset(CAST(:rows AS json)) AS v(source text, source_key text, payment_key text)
ORDER BY source, source_key
ON CONFLICT (source, source_key) DO NOTHING
RETURNING source, source_key
""")

_JOIN = text("""
UPDATE contribution g SET payment_key = l.payment_key
FROM payment_link l JOIN unnest(CAST(:sources AS text[]), CAST(:keys AS text[])) k(source, source_key)
    ON (l.source, l.source_key) = (k.source, k.source_key)
WHERE (g.source, g.source_key) = (l.source, l.source_key) AND g.payment_key = ''
    AND NOT EXISTS (SELECT FROM contribution p WHERE (p.source, p.payment_key) = (l.source, l.payment_key)
        AND p.payment_key <> '')
RETURNING g.id
""")

# Booked as a payment and as an instalment before anything said that they are one: whatever the payment's entries come to is
# taken back, and all that is known of it goes over to the instalment.
_TWICE = text("""
SELECT i.id AS instalment_id, p.id AS payment_id, p.source_key, l.payment_key, p.charge_key
FROM payment_link l JOIN unnest(CAST(:sources AS text[]), CAST(:keys AS text[])) k(source, source_key)
    ON (l.source, l.source_key) = (k.source, k.source_key)
JOIN contribution i ON (i.source, i.source_key) = (l.source, l.source_key)
JOIN contribution p ON (p.source, p.payment_key) = (l.source, l.payment_key) AND p.payment_key <> '' AND p.id <> i.id
ORDER BY p.id
""")
_TAKE_BACK = text("""
INSERT INTO ledger_entry (contribution_id, kind, source, source_key, amount_cents, currency, occurred_at)
SELECT p.id, 'duplicate', p.source, p.source_key, -sum(l.amount_cents), p.currency, p.paid_at
FROM contribution p JOIN ledger_entry l ON l.contribution_id = p.id WHERE p.id = ANY(:payments) GROUP BY p.id
ON CONFLICT (source, source_key, kind, contribution_id) DO NOTHING
""")
_MOVE = """
UPDATE {table} f SET contribution_id = v.instalment
FROM unnest(CAST(:payments AS bigint[]), CAST(:instalments AS bigint[])) v(payment, instalment)
WHERE f.contribution_id = v.payment
"""
_MOVES = [text(_MOVE.format(table=table)) for table in ("refund", "dispute", "refund_order")]
_GIVE_UP = text("UPDATE contribution SET payment_key = '', charge_key = '' WHERE id = ANY(:payments)")
_TAKE_OVER = text("""
UPDATE contribution i SET payment_key = v.payment_key,
    charge_key = CASE i.charge_key WHEN '' THEN v.charge_key ELSE i.charge_key END
FROM unnest(CAST(:instalments AS bigint[]), CAST(:payment_keys AS text[]), CAST(:charge_keys AS text[]))
    v(id, payment_key, charge_key)
WHERE i.id = v.id
""")


def check_out(session: Session, told: Sequence[CheckoutReported], now: datetime, _: Settings) -> list[Event]:
    """Keep these checkouts; gifts that are on the books without a donor learn who gave."""
    each = {(event.source, event.source_key): event for event in reversed(told)}  # the first counts
    kept = session.execute(_KEEP, {"rows": rows(map(asdict, each.values()))}).all()
    found = session.execute(_LED_TO, {"ids": [row.id for row in kept]}).all()
    learned = complete(session, [row.id for row in found])
    settled = donors.settle(session, [row.id for row in learned], now)
    ledger.settle(session, [row.id for row in learned])
    followed = plans.follow(
        session, {(row.source, row.plan_key): row.inbound_event_id for row in found if row.plan_key}
    )
    donors.forget(session, donors.left(learned, settled.gifts))
    hidden = {row.id for row in settled.gifts}
    whose = {row.id: row.contact_id for row in learned if row.id not in hidden}
    return [
        *(FactRecorded(row.inbound_event_id) for row in kept),
        *followed,
        *settled.moved,
        *(
            DonorLearned(row.inbound_event_id, row.id, donor)
            for row in found
            if row.contact_id is None and (donor := whose.get(row.id)) is not None
        ),
    ]


def complete(session: Session, contribution_ids: Collection[int]) -> Sequence[Row[Any]]:
    """Let these gifts take from their checkouts what they lack. Returns those that have a checkout: rows (id, contact_id,
    contact_before)."""
    if not contribution_ids:
        return []
    return session.execute(_COMPLETE, {"ids": list(contribution_ids)}).all()


def link(session: Session, told: Sequence[PaymentLinked], _: datetime, __: Settings) -> list[Event]:
    """Keep which payment paid which instalment. Booked as both already: one of them is taken back, and a person told."""
    each = {(event.source, event.source_key): event for event in reversed(told)}  # the first counts
    fresh = {(row.source, row.source_key) for row in session.execute(_LINK, {"rows": rows(map(asdict, each.values()))})}
    if not fresh:
        return []
    keys = {"sources": [source for source, _ in fresh], "keys": [key for _, key in fresh]}
    joined = session.scalars(_JOIN, keys).all()
    twice = session.execute(_TWICE, keys).all()
    if twice:
        _make_one(session, twice)
    ledger.settle(session, {*joined, *(booked for row in twice for booked in (row.payment_id, row.instalment_id))})
    return [
        *(FactRecorded(each[key].cause) for key in fresh),
        *(
            HumanNeeded(None, TWICE, f"contribution {row.payment_id}", f"{row.source_key} was an instalment's payment")
            for row in twice
        ),
    ]


def _make_one(session: Session, twice: Sequence[Row[Any]]) -> None:
    columns = {
        "payments": [row.payment_id for row in twice],
        "instalments": [row.instalment_id for row in twice],
        "payment_keys": [row.payment_key for row in twice],
        "charge_keys": [row.charge_key for row in twice],
    }
    for statement in (_TAKE_BACK, *_MOVES, _GIVE_UP, _TAKE_OVER):
        session.execute(statement, columns)
