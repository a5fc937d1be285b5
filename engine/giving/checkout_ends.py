"""What becomes of a checkout that was begun on a page of ours: paid, left, or over; and of the words that its donor typed.

They go to the gift with the processor's word that it is paid, and with its word that nobody paid they are gone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.events import CheckoutEndReported, CheckoutReported, Event, FactRecorded, Person
from engine.settings import Settings

# Without the processor's word that nobody paid, a bank may still be at it: it has some days.
WORDS_KEPT = timedelta(days=10)

_TOLD = """json_to_recordset(CAST(:rows AS json)) AS v(id bigint, session_key text)
JOIN checkout c ON c.id = v.id AND c.session_key IN ('', v.session_key)"""
_TYPED = text(f"SELECT c.id, c.donor FROM {_TOLD} WHERE c.donor <> '{{}}'")
_PAID = text(f"""
UPDATE checkout p SET state = 'paid', donor = '{{}}', session_key = v.session_key
FROM {_TOLD} WHERE p.id = c.id AND p.state IN ('opening', 'open', 'expired')
""")
_LEFT = text(f"""
UPDATE checkout p SET state = 'expired', donor = '{{}}', session_key = v.session_key
FROM {_TOLD} WHERE p.id = c.id AND (p.state IN ('opening', 'open') OR p.state = 'expired' AND p.donor <> '{{}}')
RETURNING p.id
""")
_OVER = text("UPDATE checkout SET state = 'expired' WHERE state IN ('opening', 'open') AND expires_at <= :now")
_EMPTY = text("UPDATE checkout SET donor = '{}' WHERE state = 'expired' AND donor <> '{}' AND expires_at <= :untold")

_ADDRESS = ("street", "city", "state", "zip", "country")


def recall(session: Session, happened: Sequence[Event]) -> Sequence[Event]:
    """The same events; of whoever paid a checkout of ours, with what she typed on our page. Before anybody is admitted."""
    told = [event for event in happened if isinstance(event, CheckoutReported) and event.checkout_id is not None]
    if not told:
        return happened
    found = session.execute(_TYPED, {"rows": _rows(told)})
    typed: Mapping[int, dict[str, Any]] = {row.id: row.donor for row in found}
    return [
        replace(event, donor=_joined(event.donor, typed[event.checkout_id]), typed=True)
        if isinstance(event, CheckoutReported) and event.checkout_id is not None and event.checkout_id in typed
        else event
        for event in happened
    ]


def pay(session: Session, told: Sequence[CheckoutReported], _: datetime, __: Settings) -> list[Event]:
    """These are paid, or their money is on its way."""
    if ours := [event for event in told if event.checkout_id is not None]:
        session.execute(_PAID, {"rows": _rows(ours)})
    return []


def end(session: Session, told: Sequence[CheckoutEndReported], _: datetime, __: Settings) -> list[Event]:
    """Nobody paid these, and nobody can any more."""
    causes = {event.checkout_id: event.cause for event in told}
    ended = session.scalars(_LEFT, {"rows": _rows(told)}).all()
    return [FactRecorded(causes[checkout_id]) for checkout_id in ended]


def expire(session: Session, now: datetime) -> None:
    """End what nobody told us the end of, and empty what was typed where no money can come any more."""
    session.execute(_OVER, {"now": now})
    session.execute(_EMPTY, {"untold": now - WORDS_KEPT})


def _joined(told: Person, typed: Mapping[str, Any]) -> Person:
    """Her own words before those of her card, the address as one; but the address that the processor wrote down for her."""
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
    each = {event.checkout_id: event.source_key for event in told}
    return rows({"id": checkout_id, "session_key": key} for checkout_id, key in sorted(each.items()))
