"""Confirmations: asking by letter whether it was she, and what her yes to that does.

At most one letter a day and three in thirty days to an address, over all forms. A letter's yes covers what was typed since
that letter was asked for, however often; it ends after seven days. Once given it can be given again and changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.errors import Conflict, NotFound
from engine.events import ConfirmationAsked, Event, Joined
from engine.people import consent, contacts, wishes
from engine.people.consent import STANDING_SUPPRESSIONS
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

# Unsubscribing, a complaint and every other no since the letter was asked for, or since she answered it.
_FIND = text(f"""
SELECT x.id, x.contact_id, x.place, x.wording, x.asked_at, x.expires_at, x.confirmed_at, x.inbound_event_id, c.email,
    EXISTS (
        SELECT FROM consent no WHERE no.contact_id = c.id AND no.channel = 'mail' AND no.kind = '' AND NOT no.given
            AND no.at >= coalesce(x.confirmed_at, x.asked_at)
    ) OR EXISTS (
        SELECT FROM suppression s WHERE s.email = c.email AND s.reason IN ('unsubscribe', 'complaint', 'manual', 'erased')
            AND s.at >= coalesce(x.confirmed_at, x.asked_at)
    ) AS left_since,
    coalesce((SELECT given FROM consent WHERE contact_id = c.id AND channel = 'mail' AND kind = ''
        ORDER BY at DESC, given LIMIT 1), false)
        AND NOT EXISTS (SELECT FROM ({STANDING_SUPPRESSIONS}) s WHERE s.email = c.email) AS listed
FROM confirmation x JOIN contact c ON c.id = x.contact_id
WHERE x.id = :id AND c.email IS NOT NULL AND c.merged_into_id IS NULL
""")

_CONFIRM = text("UPDATE confirmation SET confirmed_at = :now WHERE id = :id")

_WAITING = text("""
UPDATE sign_up SET confirmation_id = NULL WHERE contact_id = :contact_id AND confirmation_id >= :id
RETURNING id, contact_id, person, at, detail, inbound_event_id
""")

_REACHABLE = text(f"""
SELECT NOT EXISTS (SELECT FROM ({STANDING_SUPPRESSIONS}) s WHERE s.email = :email)
""")

State = Literal["open", "confirmed", "expired"]


@dataclass(frozen=True, slots=True)
class Confirmation:
    """One letter's question. `state`: open; confirmed, and it stands; or expired.

    `left_since`: she wanted no more mail after it was asked (or answered): only her express word may outweigh that. One
    that was answered before she left is open again until it expires. `listed`: she gets letters already.
    """

    id: int
    contact_id: int
    email: str
    place: str
    wording: str
    state: State
    left_since: bool
    listed: bool
    cause: int | None


def ask(session: Session, said: Sequence[SaidByForm], now: datetime) -> list[Event]:
    """Ask these people by letter, as far as that is allowed; what they typed waits for the answer. Their contacts are
    locked."""
    if not said:
        return []
    told = rows(
        {
            "contact_id": one.contact_id,
            "at": one.at,
            "place": one.wishes.form,
            "wording": one.wording,
            "cause": one.cause,
        }
        for one in said
    )
    values = {"rows": told, "now": now, "expires": now + LASTS, "most": MOST_A_MONTH}
    asked = session.execute(_ASK, values).all()
    session.execute(_WAIT, {"ids": [one.sign_up_id for one in said], "now": now})
    return [ConfirmationAsked(row.inbound_event_id, row.id) for row in asked]


def find(session: Session, id: int, now: datetime) -> Confirmation | None:
    """This confirmation as it stands at `now`; None when there is none, or nobody any more whom it was sent to."""
    row = session.execute(_FIND, {"id": id}).one_or_none()
    if row is None:
        return None
    answered = row.confirmed_at is not None and not row.left_since
    state: State = "confirmed" if answered else "expired" if row.expires_at <= now else "open"
    return Confirmation(
        row.id, row.contact_id, row.email, row.place, row.wording, state, row.left_since, row.listed,
        row.inbound_event_id,
    )  # fmt: skip


def confirm(session: Session, id: int, now: datetime, *, expressly: bool = False) -> list[Event]:
    """It was she: her yes is on record with the wording she agreed to, and what she typed is carried out. Answered before,
    it changes nothing. Returns what is to be reacted to.

    Raises NotFound; Conflict when it has expired, or when she left since and does not say `expressly` that she is back.
    """
    found = find(session, id, now)
    if found is None:
        raise NotFound(f"no confirmation {id}")
    contacts.admit(session, (), also=[found.email])
    found = find(session, id, now)  # again: whoever held her lock may have answered
    if found is None:
        raise NotFound(f"no confirmation {id}")
    if found.state == "confirmed":
        return []
    if found.state == "expired":
        raise Conflict("this confirmation has expired")
    if found.left_since and not expressly:
        raise Conflict("she wanted no more mail since: to be asked expressly")
    consent.hear(session, [_word(found, now)])
    session.execute(_CONFIRM, {"id": id, "now": now})
    waiting = session.execute(_WAITING, {"contact_id": found.contact_id, "id": id}).all()
    moved = wishes.carry_out(session, [wishes.kept(row) for row in waiting], now)
    reachable = session.scalar(_REACHABLE, {"email": found.email})
    return [*moved, *([Joined(found.cause, found.contact_id)] if reachable and not found.listed else [])]


def _word(found: Confirmation, now: datetime) -> dict[str, object]:
    return {
        "contact_id": found.contact_id,
        "channel": "mail",
        "given": True,
        "at": now,
        "source": SOURCE,
        "place": found.place,
        "wording": found.wording,
        "cause": found.cause,
    }
