"""The ledger: what the facts about a contribution come to, in entries that are added and never changed.

Facts of every kind (gift, refunds, disputes) may come in any order. `settle` looks at all that is known of some
contributions and adds the entries that are still missing; then status and totals are what the ledger says.

Refunds are told one by one, as a running total, or both. What went back is the larger of the two, so each report adds
only what no other has said. A refund that failed gives back what it took. A dispute takes when it is opened, gives back
when it is won, and takes again when it is lost after all.
"""

from collections.abc import Collection

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.giving import totals

# Facts that came before their contribution, found by the payment or by the charge.
_ADOPT = """
UPDATE {table} f SET contribution_id = m.contribution_id
FROM (
    SELECT f.id, g.id AS contribution_id FROM contribution g JOIN {table} f
        ON f.source = g.source AND f.payment_key = g.payment_key AND f.payment_key <> '' AND g.payment_key <> ''
        AND f.currency = g.currency
    WHERE g.id = ANY(:ids)
    UNION
    SELECT f.id, g.id FROM contribution g JOIN {table} f
        ON f.source = g.source AND f.charge_key = g.charge_key AND f.charge_key <> '' AND g.charge_key <> ''
        AND f.currency = g.currency
    WHERE g.id = ANY(:ids)
) m
WHERE f.id = m.id AND f.contribution_id IS NULL
"""
_ADOPT_REFUNDS = text(_ADOPT.format(table="refund"))
_ADOPT_DISPUTES = text(_ADOPT.format(table="dispute"))

_GIFTS = text("""
INSERT INTO ledger_entry (contribution_id, kind, source, source_key, amount_cents, currency, occurred_at)
SELECT g.id, 'gift', g.source, coalesce(nullif(g.payment_key, ''), g.source_key), g.amount_cents, g.currency, g.paid_at
FROM contribution g
WHERE g.id = ANY(:ids) AND NOT EXISTS (SELECT FROM ledger_entry l WHERE l.contribution_id = g.id AND l.kind = 'gift')
ORDER BY g.id
""")

_REFUNDS = text("""
WITH known AS MATERIALIZED (SELECT * FROM refund WHERE contribution_id = ANY(:ids)),
posted AS (
    SELECT contribution_id, sum(amount_cents) AS cents FROM ledger_entry
    WHERE contribution_id = ANY(:ids) AND kind = 'refund' GROUP BY contribution_id
), missing AS (
    SELECT k.contribution_id, greatest(coalesce(max(k.amount_cents) FILTER (WHERE k.total), 0),
        coalesce(sum(k.amount_cents) FILTER (WHERE NOT k.total), 0)) + coalesce(max(p.cents), 0) AS cents
    FROM known k LEFT JOIN posted p USING (contribution_id) GROUP BY k.contribution_id
), fresh AS (
    SELECT k.*, sum(k.amount_cents) OVER (PARTITION BY k.contribution_id ORDER BY k.id DESC) - k.amount_cents AS before,
        sum(k.amount_cents) OVER (PARTITION BY k.contribution_id) AS altogether
    FROM known k WHERE NOT k.total AND NOT EXISTS (SELECT FROM ledger_entry l WHERE l.contribution_id = k.contribution_id
        AND l.kind = 'refund' AND (l.source, l.source_key) = (k.source, k.source_key))
)
INSERT INTO ledger_entry (contribution_id, kind, source, source_key, amount_cents, currency, occurred_at)
SELECT f.contribution_id, 'refund', f.source, f.source_key, -least(f.amount_cents, m.cents - f.before), f.currency,
    f.refunded_at
FROM fresh f JOIN missing m USING (contribution_id) WHERE m.cents > f.before
UNION ALL
SELECT k.contribution_id, 'refund', k.source, k.source_key || '/' || k.amount_cents,
    -(m.cents - coalesce(a.altogether, 0)), k.currency, k.refunded_at
FROM known k JOIN missing m USING (contribution_id)
LEFT JOIN (SELECT DISTINCT contribution_id, altogether FROM fresh) a USING (contribution_id)
WHERE k.total AND m.cents > coalesce(a.altogether, 0)
UNION ALL
SELECT contribution_id, 'refund_failed', source, source_key, amount_cents, currency, refunded_at
FROM known WHERE state = 'failed'
ON CONFLICT (source, source_key, kind, contribution_id) DO NOTHING
""")

_DISPUTES = text("""
INSERT INTO ledger_entry (contribution_id, kind, source, source_key, amount_cents, currency, occurred_at)
SELECT contribution_id, 'dispute', source, source_key, -amount_cents, currency, opened_at
FROM dispute WHERE contribution_id = ANY(:ids) AND state IN ('open', 'won', 'lost')
UNION ALL
SELECT contribution_id, 'dispute_won', source, source_key, amount_cents, currency, coalesce(settled_at, opened_at)
FROM dispute WHERE contribution_id = ANY(:ids) AND state = 'won'
UNION ALL
SELECT d.contribution_id, 'dispute_lost', d.source, d.source_key, -d.amount_cents, d.currency,
    coalesce(d.settled_at, d.opened_at)
FROM dispute d WHERE d.contribution_id = ANY(:ids) AND d.state = 'lost' AND EXISTS (
    SELECT FROM ledger_entry l WHERE l.contribution_id = d.contribution_id AND l.kind = 'dispute_won'
        AND (l.source, l.source_key) = (d.source, d.source_key))
ON CONFLICT (source, source_key, kind, contribution_id) DO NOTHING
""")

TRUE_STATUS = """
CASE
    WHEN EXISTS (SELECT FROM ledger_entry l WHERE l.contribution_id = g.id AND l.kind = 'duplicate') THEN 'duplicate'
    WHEN EXISTS (SELECT FROM dispute d WHERE d.contribution_id = g.id AND d.state = 'lost') THEN 'dispute_lost'
    WHEN EXISTS (SELECT FROM dispute d WHERE d.contribution_id = g.id AND d.state = 'open') THEN 'disputed'
    ELSE (
        SELECT CASE WHEN coalesce(-sum(l.amount_cents), 0) >= g.amount_cents THEN 'refunded'
            WHEN -sum(l.amount_cents) > 0 THEN 'partly_refunded' ELSE 'received' END
        FROM ledger_entry l WHERE l.contribution_id = g.id AND l.kind IN ('refund', 'refund_failed')
    )
END
"""

# What a status is called where people read it; the others as they are.
STATUS_WORDS = {
    "partly_refunded": "partly given back",
    "refunded": "given back",
    "disputed": "disputed at her bank",
    "dispute_lost": "lost in a dispute",
    "duplicate": "told twice, booked elsewhere",
}

_STATUS = text(f"""
UPDATE contribution c SET status = t.status
FROM (SELECT g.id, {TRUE_STATUS} AS status FROM contribution g WHERE g.id = ANY(:ids)) t
WHERE c.id = t.id AND c.status <> t.status
""")

_CONTACTS = text("SELECT DISTINCT contact_id FROM contribution WHERE id = ANY(:ids) AND contact_id IS NOT NULL")


def settle(session: Session, contribution_ids: Collection[int]) -> None:
    """Adopt the orphans of these contributions and add what the ledger lacks; then their status and totals follow.

    The caller holds the contacts' rows. However many contributions, always as many statements.
    """
    if not contribution_ids:
        return
    ids = {"ids": sorted(contribution_ids)}
    for statement in (_ADOPT_REFUNDS, _ADOPT_DISPUTES, _GIFTS, _REFUNDS, _DISPUTES, _STATUS):
        session.execute(statement, ids)
    totals.refresh(session, set(session.scalars(_CONTACTS, ids)))
