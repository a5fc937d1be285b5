"""Whose the money is when two contacts turn out to be one person, and what stays of a donor who is erased.

The ledger and every amount stay, under a contact that says nothing. So does the snapshot of who gave to a fund of ours: the
treasurer's record, kept until the fund's law lets it go. Nobody's law asks us to keep who gave to somebody else.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.events import ContactErased, ContactMerged, Event
from engine.giving import plans, totals
from engine.settings import Settings

_MOVE = """
UPDATE {table} t SET contact_id = o.merged_into_id FROM contact o WHERE o.id = ANY(:ids) AND t.contact_id = o.id
"""
_MOVES = [text(_MOVE.format(table=table)) for table in ("contribution", "recurring_plan")]

# Of two rests for one reason the longer one.
_RESTS = text("""
WITH gone AS (DELETE FROM ask_rest t USING contact o WHERE o.id = ANY(:ids) AND o.id = t.contact_id
    RETURNING o.merged_into_id, t.fund_id, t.reason, t.since, t.until)
INSERT INTO ask_rest AS t (contact_id, fund_id, reason, since, until)
SELECT DISTINCT ON (merged_into_id, fund_id, reason) merged_into_id, fund_id, reason, since, until FROM gone
ORDER BY merged_into_id, fund_id, reason, until DESC
ON CONFLICT (contact_id, reason, fund_id) DO UPDATE SET since = excluded.since, until = excluded.until
    WHERE excluded.until > t.until
""")
_UNREST = text("DELETE FROM ask_rest WHERE contact_id = ANY(:ids)")

_CHECKOUTS = text("""
UPDATE checkout_session s SET donor = '{}' WHERE s.donor ->> 'email' = ANY(:emails) OR EXISTS (
    SELECT FROM contribution g WHERE g.contact_id = ANY(:ids) AND g.source = s.source AND (
        g.payment_key = s.payment_key AND g.payment_key <> '' OR g.plan_key = s.plan_key AND g.plan_key <> ''))
""")
_BEGUN = text("UPDATE checkout SET donor = '{}' WHERE donor ->> 'email' = ANY(:emails)")
_ENDS = text("""
UPDATE cancellation x SET reason = '' FROM recurring_plan p
WHERE p.contact_id = ANY(:ids) AND (p.source, p.source_key) = (x.source, x.source_key) AND x.reason <> ''
""")
# Why staff gave a gift of hers back: words of theirs, about her.
_ORDERS = text("""
UPDATE refund_order o SET reason = '' FROM contribution g
WHERE g.id = o.contribution_id AND g.contact_id = ANY(:ids) AND o.reason <> ''
""")
_NOT_OURS = text("UPDATE contribution SET donor = '{}' WHERE contact_id = ANY(:ids) AND fund_id IS NULL")

_PLANS = text("""
SELECT DISTINCT source, plan_key FROM contribution WHERE contact_id = ANY(:ids) AND plan_key <> ''
""")

_EXPIRED = text("""
UPDATE contribution g SET donor = '{}' FROM contact c, fund f
WHERE c.id = g.contact_id AND c.erased_at IS NOT NULL AND f.id = g.fund_id AND g.donor <> '{}'
    AND g.paid_at + make_interval(years => f.retention_years) <= :now
RETURNING g.id
""")

# Tables of money that name a contact: moved by a merge; kept (under a row that says nothing) when she is erased, or not.
KEPT, DELETED = frozenset({"contribution", "recurring_plan"}), frozenset({"ask_rest"})
MOVED = KEPT | DELETED


def take_over(session: Session, merged: Sequence[ContactMerged], _: datetime, __: Settings) -> list[Event]:
    """Her gifts and plans are the other's, and so is her rest from asks; the totals of both follow."""
    ids = {"ids": [event.contact_id for event in merged]}
    for statement in (*_MOVES, _RESTS):
        session.execute(statement, ids)
    totals.refresh(session, {who for event in merged for who in (event.contact_id, event.into_id)})
    return _standing(session, {event.into_id for event in merged})


def forget(session: Session, erased: Sequence[ContactErased], _: datetime, __: Settings) -> list[Event]:
    """Take out what checkouts (begun or finished), ended plans and orders of refunds tell of her, why she is not asked, and
    who gave to funds that are not ours."""
    ids, emails = [event.contact_id for event in erased], [event.email for event in erased if event.email]
    for statement in (_CHECKOUTS, _BEGUN, _ENDS, _ORDERS, _NOT_OURS, _UNREST):
        session.execute(statement, {"ids": ids, "emails": emails})
    return _standing(session, ids)


def expire_snapshots(session: Session, now: datetime) -> int:
    """Empty the snapshots of people who were erased, as soon as their fund's years are over. Returns how many."""
    return len(session.execute(_EXPIRED, {"now": now}).all())


def _standing(session: Session, contact_ids: Collection[int]) -> list[Event]:
    """Whose a plan is follows from those who gave, and from whether they have an address."""
    found = session.execute(_PLANS, {"ids": sorted(contact_ids)})
    return plans.follow(session, {(row.source, row.plan_key): None for row in found})
