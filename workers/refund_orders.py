"""Refunds that staff ordered: Stripe is asked for each, outside of any transaction, and its answer is kept.

The idempotency key comes from the order: a crash between the refund and its record leads to the same request again, and to
the same refund. What goes back is booked by Stripe's own events.
"""

from datetime import datetime
from time import monotonic

import structlog
from sqlalchemy import Row

from engine.bootstrap import Deps
from engine.events import Event, HumanNeeded
from engine.giving import refund_orders
from engine.ports import Payments, Refunded
from engine.staff import notices
from workers import turns

CHORE = refund_orders.CHORE
MOST = 100
REFUSED = "ordered refund refused"  # kinds of notice
WAITING = "ordered refunds wait"

log = structlog.get_logger(__name__)


def refund(deps: Deps) -> None:
    """Ask for what is ordered, one by one; stop where Stripe cannot be asked, and try again at the next turn."""
    if deps.payments is None:
        return
    ends = monotonic() + turns.SECONDS
    with deps.work() as (session, now):
        due = refund_orders.due(session, MOST)
    for order in due:
        if not _refund(deps, deps.payments, order, now) or monotonic() > ends:
            break


def _refund(deps: Deps, payments: Payments, order: Row[tuple[object, ...]], now: datetime) -> bool:
    """One order and what came of it. Returns whether Stripe could be asked."""
    answer = _asked(payments, order, now)
    waits = answer.outcome == "uncertain" or answer.retryable
    subject = f"refund order {order.id}"
    with deps.work() as (session, at):
        needs: list[Event] = []
        if waits:
            needs.append(HumanNeeded(None, WAITING, subject, f"contribution {order.contribution_id}: {answer.detail}"))
        else:
            given = answer.outcome == "accepted"
            refund_orders.settle(
                session, int(order.id), refunded=given, provider_id=answer.provider_id, detail=answer.detail
            )
            notices.resolve(session, WAITING, [subject])
            if not given:
                detail = f"contribution {order.contribution_id}: {answer.detail}"
                needs.append(HumanNeeded(None, REFUSED, subject, detail))
        everything = deps.react(session, needs, at)
    deps.ring_for(everything)
    log.info("refund order", order=order.id, outcome=answer.outcome, reason=answer.detail)
    return not waits


def _asked(payments: Payments, order: Row[tuple[object, ...]], now: datetime) -> Refunded:
    if now - order.ordered_at > refund_orders.ASKED_FOR:
        detail = "it waited for a day: see at Stripe whether it was refunded, and order it again if not"
        return Refunded("refused", detail=detail)
    charge, payment, account = str(order.charge_key), str(order.payment_key), str(order.account)
    cents, key = int(str(order.amount_cents)), f"refund-order-{order.id}"
    return payments.give_back(charge, payment, cents, key, account=account)
