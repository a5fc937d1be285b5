"""What the law lets one person give to one fund: how much is left of it.

Counted is what is left of her gifts in dollars after refunds and disputes, each in the period of the fund's clock in which
it was paid (`engine.giving.periods`). A gift above a limit is never refused: a stranger would learn by that what somebody
has given. It is taken, and flagged (`engine.giving.excesses`).
"""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.giving import periods

_LIMIT = text(
    "SELECT limit_cents, limit_clock, election_days FROM fund WHERE id = :fund_id AND limit_cents IS NOT NULL"
)

# Whoever was merged is whom she was merged into, and has what that one gave. Like the totals: what was taken back whole, or
# more than that, is no gift.
_LEFT = text("""
SELECT c.id, greatest(:limit - coalesce(gave.cents, 0), 0)::bigint AS cents
FROM contact c CROSS JOIN LATERAL (
    SELECT sum(n.cents) AS cents FROM (
        SELECT sum(l.amount_cents) AS cents FROM contribution g JOIN ledger_entry l ON l.contribution_id = g.id
        WHERE g.contact_id = coalesce(c.merged_into_id, c.id) AND g.fund_id = :fund_id AND g.currency = 'usd'
            AND g.paid_at >= coalesce(CAST(:begin AS timestamptz), '-infinity')
            AND g.paid_at < coalesce(CAST(:end AS timestamptz), 'infinity')
        GROUP BY g.id HAVING sum(l.amount_cents) > 0
    ) n OFFSET 0
) gave
WHERE c.id = ANY(:ids)
""")


def left(session: Session, contact_ids: Collection[int], fund_id: int, now: datetime, zone: str) -> dict[int, int]:
    """How many cents each of these contacts may still give this fund in the present period of its clock, never below 0;
    nothing at all when the fund has no limit. Two statements, however many contacts."""
    fund = session.execute(_LIMIT, {"fund_id": fund_id}).one_or_none()
    if fund is None or not contact_ids:
        return {}
    period = periods.holding(fund.limit_clock, fund.election_days, now, zone)
    asked = {"ids": sorted(contact_ids), "fund_id": fund_id, "limit": fund.limit_cents}
    found = session.execute(_LEFT, asked | {"begin": period.begin, "end": period.end})
    return {row.id: row.cents for row in found}
