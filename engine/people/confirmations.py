"""Confirmations: asking by letter whether it was she, and what her yes to that does.

At most one letter a day and three in thirty days to an address, over all forms. A letter's yes covers what was typed since
that letter was asked for, however often; it ends after seven days. Once given it can be given again and changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.errors import Conflict, NotFound
from engine.events import ConfirmationAsked, Event, Joined
from engine.people import consent, contacts, routing, wishes
from engine.people.consent import Said
from engine.people.wishes import SaidByForm

LASTS = timedelta(days=7)
SOURCE = "confirm"
MOST_A_MONTH = 3

# The contact is locked, so of two at once the second sees the first's.
_ASK = text("""
INSERT INTO confirmation (contact_id, place, wording, asked_at, expires_at, inbound_event_id)
SELECT DISTINCT ON (v.contact_id) v.contact_id, v.place, v.wording, :now, :expires, v.cause
FROM json_to_recordset(CAST(:rows AS json)) AS v(
    contact_id bigint, at timestamptz, place text, wording text, cause bigint)
WHERE NOT EXISTS (
        SELECT FROM confirmation x WHERE x.contact_id = v.contact_id AND x.asked_at > :now - interval '1 day')
    AND :most > (
        SELECT count(*) FROM confirmation x WHERE x.contact_id = v.contact_id AND x.asked_at > :now - interval '30 days')
ORDER BY v.contact_id, v.at DESC
RETURNING id, inbound_event_id
""")

# What was typed waits for the newest letter that can still be answered; for none when there is none.
_WAIT = text("""
UPDATE sign_up s SET confirmation_id = (
    SELECT max(x.id) FROM confirmation x WHERE x.contact_id = s.contact_id AND x.expires_at > :now)
WHERE s.id = ANY(:ids)
""")

_FIND = text("""
SELECT id, contact_id, place, wording, asked_at, expires_at, confirmed_at, inbound_event_id FROM confirmation WHERE id = :id
""")

_CONFIRM = text("UPDATE confirmation SET confirmed_at = :now WHERE id = :id")

_WAITING = text("""
UPDATE sign_up SET confirmation_id = NULL WHERE contact_id = ANY(:ids) AND confirmation_id >= :id
RETURNING id, contact_id, person, at, detail, inbound_event_id
""")

State = Literal["open", "confirmed", "expired"]


@dataclass(frozen=True, slots=True)
class Confirmation:
    """One letter's question, to the contact who is now whom it was sent to (`email`), as it stands at some moment.

    `state`: open; confirmed, and that stands; or expired. `left_since`: after the question, or after her answer, she said
    that she wants no more mail: only her express word outweighs it. What she had answered before that is open again.
    """

    id: int
    asked_id: int  # the contact that was asked; who she is now, if that was merged:
    contact_id: int
    email: str
    place: str
    wording: str
    state: State
    left_since: bool
    cause: int | None


def ask(session: Session, said: Sequence[SaidByForm], now: datetime) -> list[Event]:
    """Ask these people by letter, as far as that is allowed; what they typed waits for the answer. Their contacts are
    locked."""
    if not said:
        return []
    values = {"rows": rows(map(_question, said)), "now": now, "expires": now + LASTS, "most": MOST_A_MONTH}
    asked = session.execute(_ASK, values).all()
    session.execute(_WAIT, {"ids": [one.sign_up_id for one in said], "now": now})
    return [ConfirmationAsked(row.inbound_event_id, row.id) for row in asked]


def find(session: Session, id: int, now: datetime) -> Confirmation | None:
    """This confirmation at `now`; None when there is none, or nobody any more whom it was sent to."""
    row = session.execute(_FIND, {"id": id}).one_or_none()
    same = contacts.same(session, row.contact_id, lock=False) if row is not None else []
    if row is None or not same or same[-1].email is None:
        return None
    left = consent.stopped_since(session, same[-1].id, row.confirmed_at or row.asked_at) is not None
    stands = row.confirmed_at is not None and not left
    return Confirmation(
        id=row.id,
        asked_id=row.contact_id,
        contact_id=same[-1].id,
        email=same[-1].email,
        place=row.place,
        wording=row.wording,
        state="confirmed" if stands else "expired" if row.expires_at <= now else "open",
        left_since=left,
        cause=row.inbound_event_id,
    )


def confirm(session: Session, id: int, now: datetime, *, expressly: bool = False) -> list[Event]:
    """It was she: her yes is on record with the wording she agreed to, and what she typed is carried out. Answered before,
    it changes nothing. Returns what is to be reacted to.

    Raises NotFound; Conflict when it has expired, or when she left since and does not say `expressly` that she is back.
    """
    first = find(session, id, now)
    if first is None:
        raise NotFound(f"no confirmation {id}")
    routing.hold(session)
    same = contacts.same(session, first.asked_id, lock=True)
    found = find(session, id, now)  # again: whoever held her lock may have answered
    if found is None:
        raise NotFound(f"no confirmation {id}")
    if found.state == "confirmed":
        return []
    if found.state == "expired":
        raise Conflict("this confirmation has expired")
    if found.left_since and not expressly:
        raise Conflict("she wanted no more mail since then: to be asked expressly")
    return _answer(session, found, [one.id for one in same], now)


def _answer(session: Session, found: Confirmation, ids: Sequence[int], now: datetime) -> list[Event]:
    """`ids`: all the contacts that are she, locked."""
    known = consent.last_words(session, [found.contact_id])[found.contact_id].get("")
    listed = known is not None and known.given and not consent.standing(session, [found.email])
    word = Said("", given=True, wording=found.wording, anew=True)
    at = consent.say(session, ids, [word], now, source=SOURCE, place=found.place)
    session.execute(_CONFIRM, {"id": found.id, "now": at})
    waiting = session.execute(_WAITING, {"ids": list(ids), "id": found.id}).all()
    said = [replace(wishes.kept(row), contact_id=found.contact_id) for row in waiting]
    moved = wishes.carry_out(session, said, now)
    welcome = not listed and not consent.standing(session, [found.email])
    return [*moved, *([Joined(found.cause, found.contact_id)] if welcome else [])]


def _question(one: SaidByForm) -> dict[str, object]:
    return {
        "contact_id": one.contact_id,
        "at": one.at,
        "place": one.wishes.form,
        "wording": one.wording,
        "cause": one.cause,
    }
