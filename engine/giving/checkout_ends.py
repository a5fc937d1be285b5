"""What becomes of a checkout that was begun on a page of ours: paid, left, or over; and of the words that its donor typed.

The processor names it by a word that nobody can guess (its nonce): a payment of somebody else's cannot claim to be it.

They go to the gift, whichever of the processor's words of it comes first, and with its word that nobody paid they are gone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.events import CheckoutEndReported, CheckoutReported, ContributionReported, Event, FactRecorded, Person
from engine.settings import Settings

# Without the processor's word that nobody paid, a bank may still be at it: it has some days.
WORDS_KEPT = timedelta(days=10)
KEPT = timedelta(days=365)  # of what has ended; gifts are on the books
STRETCH = 1000  # rows in one statement
CHORE = "checkouts"  # who ends them: workers/checkouts.py

_TOLD = """json_to_recordset(CAST(:rows AS json)) AS v(checkout text, session_key text)
JOIN checkout c ON c.nonce = v.checkout AND c.session_key IN ('', v.session_key)"""
_TYPED = text("""
SELECT v.place, c.donor, c.language
FROM json_to_recordset(CAST(:rows AS json)) AS v(place int, checkout text, session_key text, amount_cents bigint)
JOIN checkout c ON c.nonce = v.checkout AND c.session_key IN ('', coalesce(v.session_key, c.session_key))
    AND c.amount_cents = coalesce(v.amount_cents, c.amount_cents)
""")
# Finished checkouts whose gifts are those of somebody who was erased since.
_ERASED = text("""
WITH v AS MATERIALIZED (
    SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS v(place int, source text, payment_key text, plan_key text)
)
SELECT x.place FROM (
    SELECT v.place, g.contact_id FROM v JOIN contribution g
        ON g.source = v.source AND g.payment_key = v.payment_key AND g.payment_key <> ''
    UNION ALL
    SELECT v.place, g.contact_id FROM v JOIN contribution g
        ON g.source = v.source AND g.plan_key = v.plan_key AND g.plan_key <> ''
) x JOIN contact c ON c.id = x.contact_id AND c.erased_at IS NOT NULL
""")
_PAID = text(f"""
UPDATE checkout p SET state = 'paid', donor = '{{}}', session_key = v.session_key
FROM {_TOLD} WHERE p.id = c.id AND p.state IN ('opening', 'open', 'expired')
""")
_LEFT = text(f"""
UPDATE checkout p SET state = 'expired', donor = '{{}}', session_key = v.session_key
FROM {_TOLD} WHERE p.id = c.id AND (p.state IN ('opening', 'open') OR p.state = 'expired' AND p.donor <> '{{}}')
RETURNING p.nonce
""")
_OVER = text("UPDATE checkout SET state = 'expired' WHERE state IN ('opening', 'open') AND expires_at <= :now")
_EMPTY = text("UPDATE checkout SET donor = '{}' WHERE state = 'expired' AND donor <> '{}' AND expires_at <= :untold")
# The oldest come first: if none of those is old enough, none is.
_OLD = """
SELECT id FROM (SELECT id, state, expires_at FROM checkout ORDER BY id LIMIT :most) first
WHERE state IN ('paid', 'expired', 'refused') AND expires_at <= :before
"""
_LOOSE = text(f"UPDATE decline SET checkout_id = NULL WHERE checkout_id IN ({_OLD})")
_FORGET = text(f"DELETE FROM checkout WHERE id IN ({_OLD}) RETURNING id")
# Of forms that are closed over declined cards, not of those that staff closed: whoever pays there may go on.
_STILL_OPEN = text("""
SELECT c.id, c.session_key, c.account FROM donation_form d
JOIN checkout c ON c.donation_form_id = d.id AND c.state = 'open' AND c.expires_at > :now
WHERE d.closed_at = d.attempts_from ORDER BY c.id LIMIT :most
""")
_CLOSED = text("UPDATE checkout SET state = 'expired' WHERE id = :id AND state = 'open'")
_WAKE = text("UPDATE chore SET due_at = now() WHERE name = :chore")

_ADDRESS = ("street", "city", "state", "zip", "country")


def recall(session: Session, happened: Sequence[Event]) -> Sequence[Event]:
    """The same events, before anybody is admitted: of whoever gave by a checkout of ours, with what she typed on our page, as
    long as that is there, and its language. Late news of a gift brings nobody back who was erased since: it says nothing of
    her."""
    gone = _of_the_erased(session, happened)
    told = [
        _sought(place, event) for place, event in enumerate(happened)
        if isinstance(event, CheckoutReported | ContributionReported) and event.checkout and place not in gone
    ]  # fmt: skip
    known = {row.place: row for row in session.execute(_TYPED, {"rows": rows(told)})} if told else {}
    return [
        gone[place] if place in gone else _with(event, known[place]) if place in known else event
        for place, event in enumerate(happened)
    ]


def pay(session: Session, told: Sequence[CheckoutReported], _: datetime, __: Settings) -> list[Event]:
    """These are paid, or their money is on its way."""
    if ours := [event for event in told if event.checkout]:
        session.execute(_PAID, {"rows": _rows(ours)})
    return []


def end(session: Session, told: Sequence[CheckoutEndReported], _: datetime, __: Settings) -> list[Event]:
    """Nobody paid these, and nobody can any more."""
    causes = {event.checkout: event.cause for event in told}
    ended = session.scalars(_LEFT, {"rows": _rows(told)}).all()
    return [FactRecorded(causes[word]) for word in ended]


def expire(session: Session, now: datetime) -> None:
    """End what nobody told us the end of, and empty what was typed where no money can come any more."""
    session.execute(_OVER, {"now": now})
    session.execute(_EMPTY, {"untold": now - WORDS_KEPT})


def forget_old(session: Session, now: datetime) -> bool:
    """Delete a stretch of what ended long ago. Returns whether there may be more."""
    values = {"most": STRETCH, "before": now - KEPT}
    session.execute(_LOOSE, values)
    return len(session.scalars(_FORGET, values).all()) == STRETCH


def wake(session: Session) -> None:
    """Have it looked at once which pages are to be ended."""
    session.execute(_WAKE, {"chore": CHORE})


def still_open(session: Session, now: datetime, most: int) -> Sequence[Row[Any]]:
    """Pages that can be paid on though their form is closed over declined cards: rows of (id, session_key, account)."""
    return session.execute(_STILL_OPEN, {"now": now, "most": most}).all()


def closed(session: Session, checkout_id: int) -> None:
    """Nobody can pay on its page any more; if somebody had before, the processor's word on that is still to come."""
    session.execute(_CLOSED, {"id": checkout_id})


def _sought(place: int, event: CheckoutReported | ContributionReported) -> dict[str, Any]:
    """Its checkout: of a finished one by its session, of a gift by its amount."""
    gift = isinstance(event, ContributionReported)
    return {
        "place": place, "checkout": event.checkout, "session_key": None if gift else event.source_key,
        "amount_cents": event.amount_cents if isinstance(event, ContributionReported) else None,
    }  # fmt: skip


def _of_the_erased(session: Session, happened: Sequence[Event]) -> Mapping[int, Event]:
    """By their places, finished checkouts of people who were erased since, without a word on who gave."""
    told = {place: event for place, event in enumerate(happened) if isinstance(event, CheckoutReported)}
    if not told:
        return {}
    keys = (
        {"place": place, "source": event.source, "payment_key": event.payment_key, "plan_key": event.plan_key}
        for place, event in told.items()
    )
    gone = set(session.scalars(_ERASED, {"rows": rows(keys)}))
    return {place: replace(told[place], donor=Person()) for place in gone}


def _with(event: Event, known: Row[Any]) -> Event:
    if isinstance(event, CheckoutReported):
        donor, typed = _joined(event.donor, known.donor), event.typed or bool(known.donor)
        return replace(event, donor=donor, typed=typed, language=known.language)
    assert isinstance(event, ContributionReported)
    return replace(event, donor=_joined(event.donor, known.donor), language="" if event.sequence else known.language)


def _joined(told: Person, typed: Mapping[str, Any]) -> Person:
    """Her own words before those of her card, the address as one; but the address that the processor wrote down for her."""
    if not typed:
        return told
    known = {field.name for field in fields(Person)}
    words = {name: value for name, value in typed.items() if name in known and value}
    if not words.get("street"):
        words = {name: value for name, value in words.items() if name not in _ADDRESS or not getattr(told, name)}
    elif not words.keys() >= {"zip"}:
        words["zip"] = None
    if told.email:
        words["email"] = told.email
    return replace(told, **words)


def _rows(told: Sequence[CheckoutReported] | Sequence[CheckoutEndReported]) -> str:
    each = {event.checkout: event.source_key for event in told}
    return rows({"checkout": word, "session_key": key} for word, key in sorted(each.items()))
