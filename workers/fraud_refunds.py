"""Refunding gifts that their card's network calls fraud, where the house wants that (REFUND_FRAUD_WARNINGS).

Stripe's idempotency key comes from the warning: a crash between the refund and its record leads to the same request again,
and to the same refund. What Stripe says of the refund afterwards is an event like any other.
"""

from collections.abc import Sequence
from typing import Any

import structlog
from sqlalchemy import Row, text

from engine.bootstrap import Deps
from engine.events import Event, HumanNeeded
from engine.ports import Payments, Refunded
from engine.staff import notices
from workers.asking import Turn, waits

CHORE = "fraud_refunds"
MOST = 100
REFUSED = "fraud refund refused"  # kinds of notice
WAITING = "fraud refunds wait"

# Those that were asked in vain least come first: one that is stuck holds up nobody.
_DUE = text("""
SELECT id, source_key, payment_key, charge_key, account FROM fraud_warning
WHERE state = 'refund_due' AND source = 'stripe' ORDER BY tries, id LIMIT :most
""")
_SETTLE = text("""
UPDATE fraud_warning SET state = :state, reason = :reason WHERE id = :id AND state = 'refund_due'
""")
_IN_VAIN = text("UPDATE fraud_warning SET tries = tries + 1 WHERE id = :id")

log = structlog.get_logger(__name__)


def refund(deps: Deps) -> None:
    """Refund what is due, one by one; what Stripe did not answer is asked again at the next turn."""
    if deps.payments is None or not deps.settings.refund_fraud_warnings:
        return
    turn = Turn()
    for warning in _due(deps):
        if turn.over:
            break
        if turn.lets_in(warning.account):
            _refund(deps, deps.payments, warning, turn)


def _due(deps: Deps) -> Sequence[Row[Any]]:
    with deps.work() as (session, _):
        return session.execute(_DUE, {"most": MOST}).all()


def _refund(deps: Deps, payments: Payments, warning: Row[Any], turn: Turn) -> None:
    """One refund and its record."""
    answer = _asked(payments, warning)
    turn.note(answer, warning.account)
    subject = f"fraud warning {warning.id}"
    with deps.work() as (session, now):
        needs: list[Event] = []
        if waits(answer):
            session.execute(_IN_VAIN, {"id": warning.id})
            needs.append(HumanNeeded(None, WAITING, subject, answer.detail))
        else:
            state = "refunded" if answer.outcome == "accepted" else "refused"
            session.execute(_SETTLE, {"id": warning.id, "state": state, "reason": answer.detail})
            notices.resolve(session, WAITING, [subject])
            needs += [HumanNeeded(None, REFUSED, subject, answer.detail)] if state == "refused" else []
        everything = deps.react(session, needs, now)
    deps.ring_for(everything)
    log.info("fraud warning", warning=warning.id, outcome=answer.outcome, reason=answer.detail)


def _asked(payments: Payments, warning: Row[Any]) -> Refunded:
    """What came of asking where the warning was told: there the payment is."""
    if not (warning.charge_key or warning.payment_key):
        return Refunded("refused", detail="the warning names no payment")
    key = f"fraud-warning-{warning.source_key}"[:255]
    return payments.refund(warning.charge_key, warning.payment_key, key, account=warning.account)
