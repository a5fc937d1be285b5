"""Who a batch of events is about: everyone named is admitted, everyone touched is locked, before anything else happens.

A batch of plain gifts goes onto the books beside others of its kind: who gives is locked, that is enough. Any other batch of
money goes alone: a refund names nobody, and a worker that books its gift meanwhile would not see it; each waits for the
other, and every statement after that sees all that was there before. People are admitted in one pass in the order of
addresses, the lock order of the whole house, so that no two workers wait in a circle.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine import events
from engine.db import rows
from engine.people import contacts

_TOUCHED = text("""
WITH v AS MATERIALIZED (
    SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS v(source text, payment_key text, charge_key text, plan_key text)
)
SELECT c.email FROM contact c WHERE c.email IS NOT NULL AND c.id IN (
    SELECT g.contact_id FROM v JOIN contribution g
        ON g.source = v.source AND g.payment_key = v.payment_key AND g.payment_key <> ''
    UNION ALL
    SELECT g.contact_id FROM v JOIN contribution g
        ON g.source = v.source AND g.charge_key = v.charge_key AND g.charge_key <> ''
    UNION ALL
    SELECT g.contact_id FROM v JOIN contribution g
        ON g.source = v.source AND g.plan_key = v.plan_key AND g.plan_key <> ''
)
""")

_ALONE = text("SELECT pg_advisory_xact_lock(:lock)")
_BESIDE_OTHERS = text("SELECT pg_advisory_xact_lock_shared(:lock)")
MONEY_LOCK = 0x67726D79

UNTOLD = datetime.fromtimestamp(0, UTC)  # older than every word: it makes a contact, and changes none

_ABOUT_PAYMENTS = (events.RefundReported, events.RefundTotalReported, events.DisputeReported)
_ABOUT_PLANS = (events.PlanReported, events.PlanEndReported)
_MONEY = (
    *_ABOUT_PAYMENTS,
    *_ABOUT_PLANS,
    events.ContributionReported,
    events.CheckoutReported,
    events.PaymentLinked,
    events.PlanPaymentFailed,
    events.FraudWarningReported,
)


def admit(session: Session, happened: Sequence[events.Event]) -> None:
    """Make or update the contacts that these events name, and lock them and those whose money the events are about."""
    money = [event for event in happened if isinstance(event, _MONEY)]
    if money:
        session.execute(_BESIDE_OTHERS if all(map(_plain, money)) else _ALONE, {"lock": MONEY_LOCK})
    touching = rows(_touching(happened))
    also = session.scalars(_TOUCHED, {"rows": touching}).all() if touching != "[]" else ()
    contacts.admit(session, _named(happened), also=also)


def _plain(event: events.Event) -> bool:
    """Whether it is a gift that touches nobody's money but that of the donor it names: it says who gave, belongs to no plan,
    and is told under its payment's own id (an invoice may rename what is on the books as somebody else's)."""
    return (
        isinstance(event, events.ContributionReported)
        and event.donor.email is not None
        and not event.plan_key
        and event.payment_key.endswith(event.source_key)
    )


def _named(happened: Sequence[events.Event]) -> Iterator[tuple[events.Person, datetime]]:
    for event in happened:
        if isinstance(event, events.ContributionReported):
            yield event.donor, event.paid_at
        elif isinstance(event, events.CheckoutReported):
            yield event.donor, event.completed_at
        elif isinstance(event, events.SignUpReported):
            yield (event.person, event.at) if event.wishes is None else (_address_only(event.person), UNTOLD)


def _address_only(person: events.Person) -> events.Person:
    """Whoever typed that on a form of ours: whether it was she is decided later (`engine.people.joining`)."""
    return events.Person(email=person.email)


def _touching(happened: Sequence[events.Event]) -> Iterator[dict[str, str]]:
    for event in happened:
        if isinstance(event, _ABOUT_PAYMENTS):
            yield _keys(event.source, event.payment_key, event.charge_key)
        elif isinstance(event, events.PaymentLinked):
            yield _keys(event.source, event.payment_key)
        elif isinstance(event, _ABOUT_PLANS):
            yield _keys(event.source, plan=event.source_key)
        elif isinstance(event, events.PlanPaymentFailed):
            yield _keys(event.source, plan=event.plan_key)
        elif isinstance(event, events.ContributionReported | events.CheckoutReported) and event.plan_key:
            yield _keys(event.source, event.payment_key, plan=event.plan_key)


def _keys(source: str, payment: str = "", charge: str = "", plan: str = "") -> dict[str, str]:
    return {"source": source, "payment_key": payment, "charge_key": charge, "plan_key": plan}
