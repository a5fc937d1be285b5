"""The giving totals on a contact: one query says what they must be; `refresh` writes it, the books compare with it.

They count what is left of her gifts to our own funds, in dollars, after refunds and disputes; a gift that was taken back
whole is no gift. Money given to someone else's committee through our form is on the books but is not hers to us. The last
gift is the one paid last; of several at one instant, the largest. `gives_monthly_cents` is what her active plans promise.
A peak is a gift that no later one reaches: the largest gift since any moment is one of them, so that the newest PEAKS of them
answer "at least so much, in so long a time" without a look at the gifts.
Giving, to whomever and whatever became of it, is also a sign of life (`engaged_last_at`, which only moves forward).
"""

from collections.abc import Collection

from sqlalchemy import text
from sqlalchemy.orm import Session

# So many are kept, each smaller than the one before: few people have more. Whoever has so many may have had older ones:
# another number needs everybody's totals written anew, by a migration.
PEAKS = 16

# The columns that it writes, and what they are where nothing is counted.
COLUMNS = {
    "gave_count": "0", "gave_cents": "0", "gave_highest_cents": "0", "gave_last_cents": "0", "gave_first_at": "NULL",
    "gave_last_at": "NULL", "gave_peaks_at": "'{}'", "gave_peaks_cents": "'{}'",
}  # fmt: skip
TRUE_TOTALS = f"""
SELECT t.contact_id, t.gave_count, t.gave_cents, t.gave_highest_cents, t.gave_last_cents, t.gave_first_at, t.gave_last_at,
    t.peaks_at[greatest(cardinality(t.peaks_at) - {PEAKS - 1}, 1):] AS gave_peaks_at,
    t.peaks_cents[greatest(cardinality(t.peaks_cents) - {PEAKS - 1}, 1):] AS gave_peaks_cents
FROM (
    SELECT m.contact_id,
        count(*) AS gave_count,
        least(sum(m.cents), 9223372036854775807)::bigint AS gave_cents,
        max(m.cents) AS gave_highest_cents,
        (array_agg(m.cents ORDER BY m.paid_at DESC, m.cents DESC))[1] AS gave_last_cents,
        min(m.paid_at) AS gave_first_at,
        max(m.paid_at) AS gave_last_at,
        array_agg(m.paid_at ORDER BY m.paid_at) FILTER (WHERE m.cents > m.later) AS peaks_at,
        array_agg(m.cents ORDER BY m.paid_at) FILTER (WHERE m.cents > m.later) AS peaks_cents
    FROM (
        SELECT n.contact_id, n.paid_at, n.cents, coalesce(max(n.cents) OVER (PARTITION BY n.contact_id
            ORDER BY n.paid_at DESC, n.cents DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS later
        FROM (
            SELECT g.contact_id, g.paid_at, sum(l.amount_cents)::bigint AS cents
            FROM contribution g JOIN ledger_entry l ON l.contribution_id = g.id
            WHERE g.contact_id IS NOT NULL AND g.fund_id IS NOT NULL AND g.currency = 'usd' {{only}}
            GROUP BY g.id HAVING sum(l.amount_cents) > 0
        ) n
    ) m
    GROUP BY m.contact_id
) t
"""

_TIMES_A_YEAR = """
CASE p.period WHEN 'daily' THEN 365.0 WHEN 'weekly' THEN 52.0 WHEN 'monthly' THEN 12.0 WHEN 'quarterly' THEN 4.0
    WHEN 'yearly' THEN 1.0
    ELSE CASE substring(p.period from '^every [0-9]+ ([a-z]+)$') WHEN 'days' THEN 365.0 WHEN 'weeks' THEN 52.0
        WHEN 'months' THEN 12.0 WHEN 'years' THEN 1.0 ELSE 0.0 END
        / greatest(coalesce(substring(p.period from '^every ([0-9]+) ')::numeric, 1), 1) END
"""
TRUE_MONTHLY = f"""
SELECT p.contact_id, sum(floor(p.amount_cents * {_TIMES_A_YEAR} / 12))::bigint AS monthly
FROM recurring_plan p
WHERE p.state = 'active' AND p.contact_id IS NOT NULL AND p.fund_id IS NOT NULL AND p.currency = 'usd' {{only}}
GROUP BY p.contact_id
"""

_REFRESH = text(f"""
UPDATE contact c SET {", ".join(f"{name} = coalesce(t.{name}, {none})" for name, none in COLUMNS.items())},
    gives_monthly_cents = coalesce(m.monthly, 0),
    engaged_last_at = greatest(c.engaged_last_at, l.paid_at)
FROM unnest(CAST(:ids AS bigint[])) i(id)
LEFT JOIN LATERAL (SELECT max(paid_at) AS paid_at FROM contribution g WHERE g.contact_id = i.id) l ON true
LEFT JOIN ({TRUE_TOTALS.format(only="AND g.contact_id = ANY(:ids)")}) t ON t.contact_id = i.id
LEFT JOIN ({TRUE_MONTHLY.format(only="AND p.contact_id = ANY(:ids)")}) m ON m.contact_id = i.id
WHERE c.id = i.id
""")


def refresh(session: Session, contact_ids: Collection[int]) -> None:
    """Write the true totals of these contacts, and when they last gave, whose rows the caller has locked."""
    if contact_ids:
        session.execute(_REFRESH, {"ids": sorted(contact_ids)})
