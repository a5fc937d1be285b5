"""Sign-ups: each recorded once, under its source's key, with who it was and what she allowed. What follows from one on a form
of our own is decided in `joining`; by one on a website that posts it to us she joins, if her yes begins to hold with it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.events import Event, HumanNeeded, Joined, SignedUp, SignUpReported
from engine.people import consent, contacts, joining
from engine.people.standing import standings
from engine.people.wishes import SaidByForm
from engine.settings import Settings

_RECORD = text("""
INSERT INTO sign_up (source, source_key, kind, contact_id, person, at, place, tags, detail, inbound_event_id)
SELECT source, source_key, kind, contact_id, person, at, place, tags, detail, cause
FROM json_to_recordset(CAST(:rows AS json)) AS v(
    source text, source_key text, kind text, contact_id bigint, person jsonb, at timestamptz, place text, tags text[],
    detail jsonb, cause bigint)
ORDER BY source, source_key, cause
ON CONFLICT (source, source_key) DO NOTHING
RETURNING id, contact_id, source, source_key
""")

_DIFFERENT = text("""
SELECT DISTINCT ON (s.id) s.id, v.cause
FROM json_to_recordset(CAST(:rows AS json)) AS v(source text, source_key text, person jsonb, detail jsonb, cause bigint)
JOIN sign_up s ON (s.source, s.source_key) = (v.source, v.source_key)
WHERE (s.person -> 'email', s.detail -> 'mail', s.detail -> 'text')
    IS DISTINCT FROM (v.person -> 'email', v.detail -> 'mail', v.detail -> 'text')
ORDER BY s.id, v.cause
""")

# Where people sign up themselves and at once. Whom other systems tell of was welcomed there.
WEBSITES = "signup"
CONTRADICTION = "a sign-up told in two ways"  # the kind of notice


_Told = tuple[SignUpReported, dict[str, object]]  # with its row


def record(session: Session, reported: Sequence[SignUpReported], now: datetime, settings: Settings) -> list[Event]:
    """Record these sign-ups with their words on mail and text messages. One that is on record already changes nothing, but a
    withdrawal is always heard; one whose key comes again with another address or another consent makes a person look."""
    known = contacts.known(session, {one.person.email for one in reported if one.person.email})
    records = [_record(one, known) for one in reported]
    first: dict[tuple[str, str], _Told] = {}
    for one, row in zip(reported, records, strict=True):
        first.setdefault((one.source, one.source_key), (one, row))
    recorded = session.execute(_RECORD, {"rows": rows(row for _, row in first.values())}).all()
    fresh = {id(first[row.source, row.source_key][0]) for row in recorded}
    words = (
        word for one in reported for word in _words(one, known.get(one.person.email or ""), fresh=id(one) in fresh)
    )
    new = _unlisted(session, _agreed(recorded, first, now, settings), settings)
    consent.hear(session, words)
    different = session.execute(_DIFFERENT, {"rows": rows(records)}).all()
    ours = [_by_form(row.id, row.contact_id, first[row.source, row.source_key][0]) for row in recorded]
    return [
        *(SignedUp(first[row.source, row.source_key][0].cause, row.id, row.contact_id) for row in recorded),
        *(HumanNeeded(row.cause, CONTRADICTION, f"sign-up {row.id}", _differs(row.cause)) for row in different),
        *_joined(session, new, settings),
        *joining.join(session, [one for one in ours if one is not None], now, settings),
    ]


def _agreed(
    recorded: Sequence[Row[Any]], first: Mapping[tuple[str, str], _Told], now: datetime, settings: Settings
) -> dict[int, int | None]:
    """Who has just said yes to mail on a website of ours or of others, each with the cause."""
    since = now - timedelta(hours=settings.letter_age_hours)
    told = [(row.contact_id, first[row.source, row.source_key][0]) for row in recorded if row.source == WEBSITES]
    return {who: one.cause for who, one in told if who is not None and one.mail and one.at > since}


def _unlisted(session: Session, agreed: Mapping[int, int | None], settings: Settings) -> dict[int, int | None]:
    """Those of them who are not on the list yet."""
    known = standings(session, agreed, settings) if agreed else {}
    return {who: cause for who, cause in agreed.items() if not known[who].listed}


def _joined(session: Session, new: Mapping[int, int | None], settings: Settings) -> list[Event]:
    """Those of them who are on it now that this is heard."""
    known = standings(session, new, settings) if new else {}
    return [Joined(cause, who) for who, cause in new.items() if known[who].listed]


def _by_form(id: int, contact_id: int | None, one: SignUpReported) -> SaidByForm | None:
    if one.wishes is None or contact_id is None:
        return None
    return SaidByForm(id, contact_id, one.person, one.at, one.wording, one.wishes, one.cause)


def _differs(cause: int | None) -> str:
    return f"inbound event {cause} has its key and another address or consent; the first is kept"


def _record(one: SignUpReported, known: Mapping[str, int]) -> dict[str, object]:
    """Its row. What she allowed and with which wording is kept here too: who has no contact has no consent rows."""
    said = {"mail": one.mail, "text": one.text, "wording": one.wording or None, "wishes": one.wishes}
    return {
        "source": one.source,
        "source_key": one.source_key,
        "kind": one.kind,
        "contact_id": known[one.person.email] if one.person.email else None,
        "person": asdict(one.person),
        "at": one.at,
        "place": one.place,
        "tags": list(one.tags),
        "detail": dict(one.detail) | {name: value for name, value in said.items() if value is not None},
        "cause": one.cause,
    }


def _words(one: SignUpReported, contact_id: int | None, *, fresh: bool) -> list[dict[str, object]]:
    """What she said about either channel; nothing without an address we know her by, nor on a form of ours (`joining`). Of a
    sign-up that is on record already, a withdrawal only."""
    told = (("mail", one.mail), ("text", one.text)) if contact_id is not None and one.wishes is None else ()
    return [
        {
            "contact_id": contact_id,
            "channel": channel,
            "given": given,
            "at": one.at,
            "source": one.source,
            "place": one.place,
            "wording": one.wording,
            "cause": one.cause,
        }
        for channel, given in told
        if given is False or (given and fresh)
    ]
