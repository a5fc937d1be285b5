"""Refunds that staff ordered: Stripe is asked for each, outside of any transaction, and its answer is kept.

The idempotency key comes from the order, and so does all that is asked: a crash between the refund and its record leads to
the same request again, and to the same refund. What goes back is booked by Stripe's own events.
"""

from typing import Any

import structlog
from sqlalchemy import Row

from engine.bootstrap import Deps
from engine.events import Event, HumanNeeded
from engine.giving import refund_orders
from engine.ports import Payments, Refunded
from engine.staff import notices
from workers.asking import Turn, waits

CHORE = refund_orders.CHORE
MOST = 100
REFUSED = "ordered refund refused"  # kinds of notice
WAITING = "ordered refunds wait"
IN_DOUBT = "ordered refund in doubt"
TOLD = {"refused": REFUSED, "uncertain": IN_DOUBT}
NO_ANSWER = (
    "Stripe gave no answer for a day: it may have gone back or not. See there, and order it again only if it did not"
)
BACK_BEFORE = "it was given back already"

log = structlog.get_logger(__name__)


def refund(deps: Deps) -> None:
    """Ask for what is ordered, one by one; what Stripe did not answer is asked again at the next turn."""
    if deps.payments is None:
        return
    turn = Turn()
    with deps.work() as (session, now):
        due = refund_orders.due(session, MOST)
    for order in due:
        if turn.over:
            break
        if order.asked_at is not None and now - order.asked_at > refund_orders.ASKED_FOR:
            _settle(deps, order, "uncertain", "", NO_ANSWER)
        elif turn.lets_in(order.account):
            _refund(deps, deps.payments, order, turn)


def _refund(deps: Deps, payments: Payments, order: Row[Any], turn: Turn) -> None:
    """One order and what came of it."""
    with deps.work() as (session, now):
        if not refund_orders.asked(session, order.id, now):
            return
    key = f"refund-order-{order.id}"
    answer = payments.give_back(order.charge_key, order.payment_key, order.amount_cents, key, account=order.account)
    turn.note(answer, order.account)
    if waits(answer):
        _wait(deps, order, answer)
    elif answer.outcome == "accepted" and answer.provider_id:
        _settle(deps, order, "refunded", answer.provider_id, answer.detail)
    else:  # without a refund of its own nothing would ever tell that it is booked
        _settle(deps, order, "refused", "", answer.detail or BACK_BEFORE)


def _wait(deps: Deps, order: Row[Any], answer: Refunded) -> None:
    """It stays as it is, and a person sees that it waits."""
    with deps.work() as (session, now):
        if answer.retryable and order.asked_at is None:
            refund_orders.not_asked(session, order.id)
        everything = deps.react(session, [_need(order, WAITING, answer.detail)], now)
    deps.ring_for(everything)
    log.info("refund order waits", order=order.id, reason=answer.detail)


def _settle(deps: Deps, order: Row[Any], state: str, provider_id: str, detail: str) -> None:
    """It is over. Unless Stripe has taken it a person is told."""
    with deps.work() as (session, now):
        open_still = refund_orders.settle(session, order.id, state, provider_id=provider_id, detail=detail)
        notices.resolve(session, WAITING, [_subject(order)])
        needs: list[Event] = [_need(order, TOLD[state], detail)] if open_still and state in TOLD else []
        everything = deps.react(session, needs, now)
    deps.ring_for(everything)
    log.info("refund order", order=order.id, state=state, reason=detail)


def _need(order: Row[Any], kind: str, detail: str) -> HumanNeeded:
    return HumanNeeded(None, kind, _subject(order), f"contribution {order.contribution_id}: {detail}")


def _subject(order: Row[Any]) -> str:
    return f"refund order {order.id}"
