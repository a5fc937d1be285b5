"""Whom the law has us ask where she works: who gave a fund as much within a calendar year (by the organisation's clock on the
wall), and with no gift of that year said it. The treasurer's list of them all is `treasurer`; here are those whom a gift of
this moment makes one.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.giving import periods

_DAY = periods.DAY.format(at="g.paid_at", zone=":zone")

# The gift with which the sum was reached is among these: so nobody is found once more by her next one. Of several funds whose
# sum one order reached the first.
_MET = text(f"""
WITH touched AS MATERIALIZED (
    SELECT g.id, g.contact_id, g.fund_id, g.inbound_event_id, extract(year FROM {_DAY})::int AS year
    FROM contribution g JOIN fund f ON f.id = g.fund_id AND f.employer_cents IS NOT NULL
    JOIN contact c ON c.id = g.contact_id AND c.email IS NOT NULL
    WHERE g.id = ANY(:ids) AND g.currency = 'usd'
), kept AS (
    SELECT her.*, g.id, g.paid_at, g.day, sum(g.cents) OVER (hers ORDER BY g.paid_at, g.id) AS so_far,
        sum(g.cents) OVER hers AS cents
    FROM (SELECT DISTINCT contact_id, fund_id, year FROM touched) her CROSS JOIN LATERAL (
        SELECT g.id, g.paid_at, {_DAY} AS day, sum(l.amount_cents) AS cents
        FROM contribution g JOIN ledger_entry l ON l.contribution_id = g.id
        WHERE g.contact_id = her.contact_id AND g.fund_id = her.fund_id AND g.currency = 'usd'
            AND extract(year FROM {_DAY}) = her.year
        GROUP BY g.id HAVING sum(l.amount_cents) > 0 OFFSET 0
    ) g WINDOW hers AS (PARTITION BY her.contact_id, her.fund_id, her.year)
), met AS (
    SELECT DISTINCT ON (k.contact_id, k.fund_id, k.year) k.* FROM kept k JOIN fund f ON f.id = k.fund_id
    WHERE k.so_far > f.employer_cents OR f.employer_from AND k.so_far = f.employer_cents
    ORDER BY k.contact_id, k.fund_id, k.year, k.paid_at, k.id
)
SELECT DISTINCT ON (m.contact_id) m.contact_id, m.year, CAST(m.cents AS bigint) AS cents, f.name AS receiver,
    m.day + f.employer_days AS answer_by, t.inbound_event_id
FROM met m JOIN touched t ON t.id = m.id JOIN fund f ON f.id = m.fund_id
WHERE m.day + f.employer_days > :today AND NOT EXISTS (
    SELECT FROM contribution g WHERE g.contact_id = m.contact_id AND extract(year FROM {_DAY}) = m.year
        AND btrim(g.donor ->> 'employer') <> '' AND btrim(g.donor ->> 'occupation') <> '')
ORDER BY m.contact_id, m.fund_id
""")


def met(session: Session, contribution_ids: Collection[int], now: datetime, zone: str) -> Sequence[Row[Any]]:
    """Those who owe an answer since one of these gifts, and still have time for it: rows of contact_id, year, cents (what she
    gave the fund in it), receiver (the fund's name), answer_by (a date), inbound_event_id. One statement, which ends at once
    when no fund of theirs asks."""
    today = now.astimezone(ZoneInfo(zone)).date()
    return session.execute(_MET, {"ids": list(contribution_ids), "zone": zone, "today": today}).all()
