"""Refunding gifts that their card's network calls fraud, where the house wants that (REFUND_FRAUD_WARNINGS).

Stripe's idempotency key comes from the warning: a crash between the refund and its record leads to the same request again,
and to the same refund. What Stripe says of the refund afterwards is an event like any other.
"""

from collections.abc import Sequence
from time import monotonic

import structlog
from sqlalchemy import Row, text

from engine.bootstrap import Deps
from engine.events import Event, HumanNeeded
from engine.ports import Payments, Refunded
from engine.staff import notices
from workers import turns

CHORE = "fraud_refunds"
MOST = 100
REFUSED = "fraud refund refused"  # kinds of notice
WAITING = "fraud refunds wait"

_DUE = text("""
SELECT w.id, w.source_key, w.payment_key, w.charge_key, coalesce((
    SELECT f.stripe_account FROM contribution g JOIN fund f ON f.id = g.fund_id
    WHERE g.source = w.source AND (g.payment_key = w.payment_key AND g.payment_key <> ''
        OR g.charge_key = w.charge_key AND g.charge_key <> '') LIMIT 1), '') AS account
FROM fraud_warning w WHERE w.state = 'refund_due' AND w.source = 'stripe' ORDER BY w.id LIMIT :most
""")
_SETTLE = text("""
UPDATE fraud_warning SET state = :state, reason = :reason WHERE id = :id AND state = 'refund_due'
""")

log = structlog.get_logger(__name__)


def refund(deps: Deps) -> None:
    """Refund what is due, one by one; stop where Stripe cannot be asked, and try again at the next turn."""
    if deps.payments is None or not deps.settings.refund_fraud_warnings:
        return
    ends = monotonic() + turns.SECONDS
    for warning in _due(deps):
        if not _refund(deps, deps.payments, warning) or monotonic() > ends:
            break


def _due(deps: Deps) -> Sequence[Row[tuple[object, ...]]]:
    with deps.work() as (session, _):
        return session.execute(_DUE, {"most": MOST}).all()


def _refund(deps: Deps, payments: Payments, warning: Row[tuple[object, ...]]) -> bool:
    """One refund and its record. Returns whether Stripe could be asked."""
    answer = _asked(payments, warning)
    waits = answer.outcome == "uncertain" or answer.retryable
    with deps.work() as (session, now):
        needs: list[Event] = []
        if waits:
            needs.append(HumanNeeded(None, WAITING, "stripe", answer.detail))
        else:
            state = "refunded" if answer.outcome == "accepted" else "refused"
            session.execute(_SETTLE, {"id": warning.id, "state": state, "reason": answer.detail})
            notices.resolve(session, WAITING)
        if answer.outcome == "refused" and not waits:
            needs.append(HumanNeeded(None, REFUSED, f"fraud warning {warning.id}", answer.detail))
        everything = deps.react(session, needs, now)
    deps.ring_for(everything)
    log.info("fraud warning", warning=warning.id, outcome=answer.outcome, reason=answer.detail)
    return not waits


def _asked(payments: Payments, warning: Row[tuple[object, ...]]) -> Refunded:
    charge, payment = str(warning.charge_key), str(warning.payment_key)
    if not (charge or payment):
        return Refunded("refused", detail="the warning names no payment")
    key = f"fraud-warning-{warning.source_key}"[:255]
    return payments.refund(charge, payment, key, account=str(warning.account))
