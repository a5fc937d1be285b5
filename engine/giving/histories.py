"""What people gave so far, as `engine.giving.asks` wants to know it: read for many at once."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.giving.asks import History

# Her usual gift is the middle one of her newest twelve (of an even number the lower of the two), as they were paid: refunds
# are rare, and nobody's ladder turns on one. Of a single gift it is that gift.
_HISTORIES = text("""
SELECT c.id, c.gave_count, c.gave_highest_cents, c.gave_last_cents, c.gives_monthly_cents,
    greatest(extract(year FROM since.gift) * 12 + extract(month FROM since.gift), 0)::int AS months,
    coalesce(usual.cents, c.gave_last_cents) AS typical_cents
FROM contact c
CROSS JOIN LATERAL (SELECT age(:now, c.gave_last_at) AS gift) since
LEFT JOIN LATERAL (
    SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY newest.amount_cents) AS cents FROM (
        SELECT g.amount_cents FROM contribution g
        WHERE g.contact_id = c.id AND g.fund_id IS NOT NULL AND g.currency = 'usd'
            AND g.status NOT IN ('refunded', 'duplicate', 'dispute_lost')
        ORDER BY g.paid_at DESC LIMIT 12) newest
) usual ON c.gave_count > 1
WHERE c.id = ANY(:ids) AND c.gave_count > 0
""")
NONE = History()


def load(session: Session, contact_ids: Collection[int], now: datetime) -> dict[int, History]:
    """The history of each of these contacts who gave, by id; of all others there is none (NONE). One query."""
    if not contact_ids:
        return {}
    found = session.execute(_HISTORIES, {"ids": sorted(contact_ids), "now": now})
    return {
        row.id: History(
            row.gave_count, row.gave_highest_cents, row.gave_last_cents, row.typical_cents, row.months or 0,
            row.gives_monthly_cents,
        )
        for row in found
    }  # fmt: skip
