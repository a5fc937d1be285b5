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
from engine.people import contacts, erasing, locks
from engine.settings import Settings
from engine.tokens import Signer

_TOUCHED = text("""
WITH v AS MATERIALIZED (
    SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS v(source text, payment_key text, charge_key text, plan_key text)
)
SELECT c.id, c.email FROM contact c WHERE c.id IN (
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

# Those without an address come after those with one.
_LOCK = text("SELECT id FROM contact WHERE id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE")
_LOCK_READERS = text("SELECT id FROM contact WHERE email = ANY(:emails) ORDER BY email FOR NO KEY UPDATE")

_BESIDE_OTHERS = text("SELECT pg_advisory_xact_lock_shared(:lock)")

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


def admit(
    session: Session, happened: Sequence[events.Event], now: datetime, settings: Settings
) -> list[events.ChapterChanged]:
    """Make or update the contacts that these events name, route them, and lock them and those whose money or letters the
    events are about. Returns whose chapter is another now."""
    money = [event for event in happened if isinstance(event, _MONEY)]
    if money:
        if all(map(_plain, money)):
            session.execute(_BESIDE_OTHERS, {"lock": locks.MONEY})
        else:
            locks.alone_with_money(session)
    touching = rows(_touching(happened))
    touched = session.execute(_TOUCHED, {"rows": touching}).all() if touching != "[]" else ()
    named = list(_named(happened))
    addresses = {one.person.email for one in named if one.person.email}
    changed = contacts.admit(session, named, now, also=[row.email for row in touched if row.email is not None])
    given = (one for one in money if isinstance(one, events.ContributionReported | events.CheckoutReported))
    contacts.speak(session, {(one.donor.email, one.language) for one in given if one.donor.email})
    erasing.recall(session, addresses, Signer(settings.signing_keys))  # now that whoever erases one of them is done
    if unaddressed := [row.id for row in touched if row.email is None]:
        session.execute(_LOCK, {"ids": unaddressed})
    if readers := _readers(happened):
        session.execute(_LOCK_READERS, {"emails": readers})
    return changed


def _plain(event: events.Event) -> bool:
    """Whether it is a gift that touches nobody's money but that of the donor it names: it says who gave, belongs to no plan,
    and is told under its payment's own id (an invoice may rename what is on the books as somebody else's)."""
    return (
        isinstance(event, events.ContributionReported)
        and event.donor.email is not None
        and not event.plan_key
        and event.payment_key.endswith(event.source_key)
    )


def _named(happened: Sequence[events.Event]) -> Iterator[contacts.Said]:
    for event in happened:
        if isinstance(event, events.ContributionReported):
            yield contacts.Said(event.donor, event.paid_at, event.entity_id, event.cause)
        elif isinstance(event, events.CheckoutReported):
            yield contacts.Said(event.donor, event.completed_at, cause=event.cause)
        elif isinstance(event, events.SignUpReported):
            if event.wishes is None:
                yield contacts.Said(event.person, event.at, cause=event.cause)
            else:  # whoever typed that: whether it was she is decided later (`engine.people.joining`)
                bare = events.Person(email=event.person.email)
                yield contacts.Said(bare, UNTOLD, cause=event.cause, unconfirmed=True)


def _readers(happened: Sequence[events.Event]) -> list[str]:
    """The addresses of those who are said to have clicked: that is noted on their contact."""
    told = (event for event in happened if isinstance(event, events.LetterReported))
    return sorted({event.email for event in told if event.kind == "click" and event.email})


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
