"""The giving totals on a contact: one query says what they must be; `refresh` writes it, the books compare with it.

They count what the ledger holds of her gifts to our own funds; money given to someone else's committee through our form
is on the books but is not hers to us. The last gift is the one paid last; of several at one instant, the largest.
"""

from collections.abc import Collection

from sqlalchemy import text
from sqlalchemy.orm import Session

TRUE_TOTALS = """
SELECT g.contact_id,
    count(*) AS gave_count,
    sum(l.amount_cents)::bigint AS gave_cents,
    max(l.amount_cents) AS gave_highest_cents,
    (array_agg(l.amount_cents ORDER BY g.paid_at DESC, l.amount_cents DESC))[1] AS gave_last_cents,
    min(g.paid_at) AS gave_first_at,
    max(g.paid_at) AS gave_last_at
FROM contribution g JOIN ledger_entry l ON l.contribution_id = g.id
WHERE g.contact_id IS NOT NULL AND g.fund_id IS NOT NULL {only}
GROUP BY g.contact_id
"""

_REFRESH = text(f"""
UPDATE contact c SET gave_count = t.gave_count, gave_cents = t.gave_cents, gave_highest_cents = t.gave_highest_cents,
    gave_last_cents = t.gave_last_cents, gave_first_at = t.gave_first_at, gave_last_at = t.gave_last_at
FROM ({TRUE_TOTALS.format(only="AND g.contact_id = ANY(:ids)")}) t WHERE c.id = t.contact_id
""")  # noqa: S608 our own text


def refresh(session: Session, contact_ids: Collection[int]) -> None:
    """Write the true totals of these contacts, whose rows the caller has locked."""
    session.execute(_REFRESH, {"ids": sorted(contact_ids)})
