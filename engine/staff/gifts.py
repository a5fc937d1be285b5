"""Gifts as a treasurer looks for them: by the number of the order or payment, and those of donors who were erased.

Who was erased has no name and no chapter any more: her gifts are found here, by whoever keeps the treasurer's record for all
chapters, and nowhere else.
"""

from collections.abc import Sequence

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.sources.words import clean
from engine.staff import rights
from engine.staff.accounts import Account
from engine.staff.rights import IN_REACH

SHOWN = 50
SHORTEST, LONGEST = 4, 100

Rows = Sequence[Row[tuple[object, ...]]]

_BY_NUMBER = text(f"""
SELECT g.contact_id, g.paid_at, g.amount_cents, g.currency, g.recurring_period, g.order_number, c.erased_at, c.email,
    c.first_name, c.last_name, coalesce(f.name, g.entity_name) AS receiver
FROM contribution g JOIN contact c ON c.id = g.contact_id LEFT JOIN fund f ON f.id = g.fund_id
WHERE (g.order_number IN (:said, upper(:said)) OR g.source_key = :said OR g.payment_key = :said) AND {IN_REACH}
    AND (:snapshots OR c.erased_at IS NULL)
ORDER BY g.paid_at DESC, g.id DESC LIMIT :most
""")
_ERASED = text(f"""
SELECT c.id, c.erased_at, count(*) AS gifts, max(g.paid_at) AS last_at,
    max(g.paid_at + make_interval(years => f.retention_years)) AS until,
    (array_agg(g.donor ORDER BY g.paid_at DESC, g.id DESC))[1] AS donor
FROM contact c JOIN contribution g ON g.contact_id = c.id JOIN fund f ON f.id = g.fund_id
WHERE c.erased_at IS NOT NULL AND g.donor <> '{{}}' AND {IN_REACH}
GROUP BY c.id ORDER BY c.erased_at DESC, c.id DESC LIMIT :most OFFSET :skip
""")


def by_number(session: Session, who: Account, asked: str) -> Rows:
    """The gifts of an order or a payment with exactly this number, for whoever may see gifts: rows of (contact_id, paid_at,
    amount_cents, currency, recurring_period, order_number, erased_at, email, first_name, last_name, receiver)."""
    said = clean(asked)
    if not SHORTEST <= len(said) <= LONGEST or not who.may(rights.SEE_GIFTS):
        return []
    values = {"said": said, "snapshots": who.may(rights.SEE_SNAPSHOTS), "most": SHOWN}
    return session.execute(_BY_NUMBER, who.reach.values() | values).all()


def of_the_erased(session: Session, who: Account, page: int) -> tuple[Rows, bool]:
    """Donors who were erased and whose record is still kept, whoever was erased last first; and whether there are more.

    Rows of (id, erased_at, gifts, last_at, until, donor): how many gifts, when the last was, until when the last snapshot is
    kept, and who gave it as it was told. Pages begin with 1.
    """
    values = {"most": SHOWN + 1, "skip": (page - 1) * SHOWN}
    found = session.execute(_ERASED, who.reach.values() | values).all()
    return found[:SHOWN], len(found) > SHOWN
