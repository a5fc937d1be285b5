"""Refunds that staff order. The order is a row, committed before the processor is asked; its id is the idempotency key.

What is asked is written down with it, and stays the same at each try, whatever is learned of the gift meanwhile.

An order moves no money on our books: what went back is told by the processor's own events, like any refund. Until they have
come, what is ordered is as good as gone: nobody can order more than is left of a gift after refunds, disputes and open
orders. Only gifts by Stripe can be given back from here; of ActBlue's it is done there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.errors import Conflict, Invalid, NotFound
from engine.money import amount

CHORE = "refund_orders"  # who asks the processor: workers/refund_orders.py
LONGEST_REASON = 500
LONGEST_ID = 18  # digits
MOST_FOUND = 50
# From the first time on. Stripe forgets an idempotency key after a day: https://docs.stripe.com/api/idempotent_requests.
# Asked again then, it might give back twice.
ASKED_FOR = timedelta(hours=23)
OVER_THERE = "ActBlue took this gift and gives it back: find it in your ActBlue dashboard, there it can be refunded"

# Open: not asked yet, in doubt, or accepted and not told by an event so far. Of contribution `g`.
OPEN = """
SELECT coalesce(sum(o.amount_cents), 0)::bigint FROM refund_order o WHERE o.contribution_id = g.id AND (o.state = 'due'
    OR o.state = 'refunded' AND NOT EXISTS (SELECT FROM refund r WHERE (r.source, r.source_key) = (g.source, o.provider_id)))
"""
_GIFT = f"""
SELECT g.id, g.contact_id, g.source, g.source_key, g.amount_cents, g.currency, g.status, g.paid_at, g.recurring_period,
    g.order_number, g.payment_key, g.charge_key, g.plan_key, g.account, coalesce(f.name, g.entity_name) AS receiver, f.slug,
    coalesce(d.slug, g.form_slug) AS form, coalesce(c.first_name, '') AS first_name, coalesce(c.last_name, '') AS last_name,
    c.email, c.erased_at,
    (SELECT coalesce(sum(l.amount_cents), 0)::bigint FROM ledger_entry l WHERE l.contribution_id = g.id) AS kept_cents,
    ({OPEN}) AS open_cents
FROM contribution g LEFT JOIN fund f ON f.id = g.fund_id LEFT JOIN contact c ON c.id = g.contact_id
LEFT JOIN donation_form d ON d.id = g.donation_form_id WHERE g.id = :id
"""
_SHOW = text(_GIFT)
# By any number that stands in a receipt or at the source. What is booked elsewhere comes last.
_FIND = text("""
SELECT id, source, source_key, order_number, payment_key, amount_cents, currency, paid_at, status FROM contribution
WHERE id = :number OR :said IN (source_key, payment_key, charge_key, order_number) OR order_number = upper(:said)
ORDER BY status = 'duplicate', paid_at DESC, id DESC LIMIT :most
""")
# Two who order at once take turns; gifts are booked meanwhile.
_HOLD = text("SELECT id FROM contribution WHERE id = :id FOR NO KEY UPDATE")
_ENTRIES = text("""
SELECT kind, amount_cents, occurred_at, source_key FROM ledger_entry WHERE contribution_id = :id ORDER BY id
""")
_ORDERS = text("""
SELECT o.id, o.amount_cents, o.state, o.reason, o.detail, o.provider_id, o.ordered_at,
    coalesce(nullif(s.name, ''), s.email, 'the command line') AS who
FROM refund_order o LEFT JOIN staff s ON s.id = o.staff_id WHERE o.contribution_id = :id ORDER BY o.id
""")
_ORDER = text("""
INSERT INTO refund_order (contribution_id, amount_cents, reason, staff_id, charge_key, payment_key, account, ordered_at)
VALUES (:id, :cents, :reason, :staff_id, :charge_key, :payment_key, :account, :now) RETURNING id
""")
_WAKE = text("UPDATE chore SET due_at = now() WHERE name = :chore")

# Those that were asked least come first: one that is stuck holds up nobody.
_DUE = text("""
SELECT id, contribution_id, amount_cents, charge_key, payment_key, account, asked_at FROM refund_order
WHERE state = 'due' ORDER BY tries, id LIMIT :most
""")
_ASKED = text("""
UPDATE refund_order SET asked_at = coalesce(asked_at, :now), tries = tries + 1 WHERE id = :id AND state = 'due' RETURNING id
""")
_NOT_ASKED = text("UPDATE refund_order SET asked_at = NULL WHERE id = :id AND state = 'due'")
_SETTLE = text("""
UPDATE refund_order SET state = :state, provider_id = :provider_id, detail = :detail WHERE id = :id AND state = 'due'
RETURNING id
""")
_STATE = text("SELECT id, state, detail, provider_id FROM refund_order WHERE id = :id")

Rows = Sequence[Row[Any]]


@dataclass(frozen=True, slots=True)
class Ordered:
    """An order as it was placed."""

    id: int
    cents: int
    currency: str


@dataclass(frozen=True, slots=True)
class Looked:
    """One gift with all that became of it: its row, its ledger, its orders. `left_cents`: what can still be given back."""

    gift: Row[Any]
    entries: Rows
    orders: Rows
    left_cents: int


def find(session: Session, said: str) -> Rows:
    """The gift of this number of ours, else those that it is a number of which donors quote (of the payment, charge, invoice
    or order), but for those that were told twice and are booked elsewhere; at most 50, the newest first.

    Rows of (id, source, source_key, order_number, payment_key, amount_cents, currency, paid_at, status). Raises NotFound.
    """
    number = int(said) if said.isascii() and said.isdigit() and len(said) <= LONGEST_ID else None
    found = session.execute(_FIND, {"said": said, "number": number, "most": MOST_FOUND}).all() if said else []
    if not found:
        raise NotFound(f"there is no gift with the number {said}")
    ours = [gift for gift in found if gift.id == number]
    return ours or [gift for gift in found if gift.status != "duplicate"] or found


def look(session: Session, contribution_id: int) -> Looked:
    """What is known of a gift's money. Raises NotFound."""
    gift = session.execute(_SHOW, {"id": contribution_id}).one_or_none()
    if gift is None:
        raise NotFound(f"there is no contribution {contribution_id}")
    entries, orders = (session.execute(which, {"id": contribution_id}).all() for which in (_ENTRIES, _ORDERS))
    return Looked(gift, entries, orders, max(0, gift.kept_cents - gift.open_cents))


def order(
    session: Session,
    contribution_id: int,
    cents: int | None,
    reason: str,
    now: datetime,
    *,
    staff_id: int | None = None,
) -> Ordered:
    """Order so much of a gift back (None: all that is left of it). Whoever commits writes the audit and rings `upkeep`.

    Raises NotFound; Conflict for a gift that cannot be given back from here, or not so much of it; Invalid without a reason.
    """
    why = " ".join(reason.split())[:LONGEST_REASON]
    if not why:
        raise Invalid("say why it is given back: it stands in the record")
    session.execute(_HOLD, {"id": contribution_id})
    looked = look(session, contribution_id)
    wanted = looked.left_cents if cents is None else cents
    _refuse(looked, wanted)
    gift = looked.gift
    values = {"id": contribution_id, "cents": wanted, "reason": why, "staff_id": staff_id, "now": now,
              "charge_key": gift.charge_key, "payment_key": gift.payment_key, "account": gift.account}  # fmt: skip
    number: int = session.execute(_ORDER, values).scalar_one()
    session.execute(_WAKE, {"chore": CHORE})
    return Ordered(number, wanted, gift.currency)


def _refuse(looked: Looked, wanted: int) -> None:
    """Raises Conflict or Invalid with what forbids it."""
    if why := _forbidden(looked.gift):
        raise Conflict(why)
    if looked.left_cents == 0:
        raise Conflict("nothing is left of this gift that could go back")
    if wanted < 1:
        raise Invalid("a refund is at least one cent")
    if wanted > looked.left_cents:
        left = amount(looked.left_cents, looked.gift.currency)
        raise Conflict(f"only {left} is left of this gift, after what went back and what is ordered")


def _forbidden(gift: Row[Any]) -> str:
    """Why nothing of this gift can be given back from here, if so."""
    if gift.source == "actblue":
        return OVER_THERE
    if gift.source != "stripe":
        return f"this gift came by {gift.source}: give it back there"
    if gift.status in ("disputed", "dispute_lost"):
        return "her bank has taken this gift back in a dispute: Stripe refunds none that is disputed"
    if gift.status == "duplicate":
        return "this payment is booked as an instalment as well: refund that one"
    if not (gift.payment_key or gift.charge_key):
        return "which payment paid this instalment is not told yet: try again in a minute"
    return ""


def due(session: Session, most: int) -> Rows:
    """Orders that the processor is to be asked for, those that were asked least first, then the oldest: rows of (id,
    contribution_id, amount_cents, charge_key, payment_key, account, asked_at)."""
    return session.execute(_DUE, {"most": most}).all()


def asked(session: Session, order_id: int, now: datetime) -> bool:
    """Note that the processor is asked now, before it is; whether the order is still open."""
    return session.scalar(_ASKED, {"id": order_id, "now": now}) is not None


def not_asked(session: Session, order_id: int) -> None:
    """Nothing came of asking for the first time: the processor did not let us in."""
    session.execute(_NOT_ASKED, {"id": order_id})


def settle(session: Session, order_id: int, state: str, *, provider_id: str = "", detail: str = "") -> bool:
    """Keep what became of an order (`state`: refunded, refused or uncertain): whether it was still open. Twice is once."""
    values = {"id": order_id, "state": state, "provider_id": provider_id, "detail": detail}
    return session.scalar(_SETTLE, values) is not None


def state(session: Session, order_id: int) -> Row[Any]:
    """How an order stands: (id, state, detail, provider_id)."""
    return session.execute(_STATE, {"id": order_id}).one()
