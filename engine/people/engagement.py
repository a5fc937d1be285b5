"""When a person last did something: signed up, followed a link in a letter, or, where that is switched on, opened one.

Only moves forward; gifts: `giving.totals`. What machines follow and open says nothing.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.events import Event, LetterClicked, LetterOpened, LetterTended, SignedUp
from engine.settings import Settings

# An upload is a list that somebody else put in: no sign of life.
_SIGNED_UP = text("""
UPDATE contact c SET engaged_last_at = s.at
FROM (SELECT contact_id, max(at) AS at FROM sign_up
    WHERE id = ANY(:ids) AND contact_id IS NOT NULL AND kind <> 'upload' GROUP BY contact_id) s
WHERE c.id = s.contact_id AND (c.engaged_last_at IS NULL OR c.engaged_last_at < s.at)
""")

_READ = text("""
UPDATE contact c SET engaged_last_at = e.at
FROM (SELECT m.contact_id, max(e.at) AS at FROM message m JOIN mail_event e ON e.message_id = m.id
    WHERE m.id = ANY(:ids) AND e.kind = :kind AND NOT e.machine GROUP BY m.contact_id) e
WHERE c.id = e.contact_id AND c.erased_at IS NULL AND (c.engaged_last_at IS NULL OR c.engaged_last_at < e.at)
""")

_LATE = text("""
UPDATE contact c SET engaged_last_at = v.at
FROM (SELECT contact_id, max(at) AS at FROM json_to_recordset(CAST(:rows AS json)) AS v(contact_id bigint, at timestamptz)
    GROUP BY contact_id) v
WHERE c.id = v.contact_id AND c.erased_at IS NULL AND (c.engaged_last_at IS NULL OR c.engaged_last_at < v.at)
""")


def late(session: Session, read: Sequence[tuple[int, datetime]]) -> None:
    """Note when these people, by their ids, followed a link in a letter that is in the archive; admission has locked them."""
    if read:
        session.execute(_LATE, {"rows": rows({"contact_id": each, "at": at} for each, at in read)})


def signed_up(session: Session, happened: Sequence[SignedUp], _: datetime, __: Settings) -> list[Event]:
    """Note when these people signed up; admission has locked them."""
    session.execute(_SIGNED_UP, {"ids": [event.sign_up_id for event in happened]})
    return []


def clicked(session: Session, happened: Sequence[LetterClicked], _: datetime, __: Settings) -> list[Event]:
    """Note when these people followed a link."""
    _read(session, happened, "click")
    return []


def tended(session: Session, happened: Sequence[LetterTended], _: datetime, __: Settings) -> list[Event]:
    """Note when these people opened a page of theirs by a letter."""
    _read(session, happened, "tended")
    return []


def opened(session: Session, happened: Sequence[LetterOpened], _: datetime, settings: Settings) -> list[Event]:
    """Note when these people opened a letter, if the house asks for that at all."""
    if settings.open_tracking:
        _read(session, happened, "open")
    return []


def _read(session: Session, happened: Sequence[LetterClicked | LetterOpened | LetterTended], kind: str) -> None:
    if ids := [event.message_id for event in happened if not event.machine]:
        session.execute(_READ, {"ids": ids, "kind": kind})
