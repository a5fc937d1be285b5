"""Stopping letters: all of them, one kind, those of chapters; for a while; or fewer. And taking that back where it may be.

What somebody says here holds when the transaction commits, for every contact that is she: her letters that are ready are
cancelled, and the last look finds her word. One that is at the provider already may arrive once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.events import Event, LettersComposed, Unsubscribed
from engine.mail import suppressions, tally
from engine.mail.suppressions import Suppressed
from engine.people import consent, contacts, preferences
from engine.people.consent import KINDS, PAUSED, Said
from engine.people.contacts import Same

EVERYTHING, CHAPTER = "everything", "chapter"
SCOPES = (EVERYTHING, CHAPTER, *KINDS)
PAUSE = timedelta(days=30)
EVER = datetime(1970, 1, 1, tzinfo=UTC)

_LETTERS = text("""
SELECT id FROM message WHERE contact_id = ANY(:ids) AND state = 'ready' ORDER BY id FOR NO KEY UPDATE
""")

# Before any suppression is written: the order in which the provider's words are followed, too.
_CANCEL = text("""
WITH unwanted AS MATERIALIZED (
    SELECT m.id FROM message m LEFT JOIN chapter h ON h.id = m.chapter_id
    WHERE m.contact_id = ANY(:ids) AND m.state = 'ready' AND m.kind <> ''
        AND CASE :scope WHEN 'everything' THEN true WHEN 'chapter' THEN h.parent_id IS NOT NULL ELSE m.kind = :scope END
    ORDER BY m.id FOR NO KEY UPDATE OF m
)
UPDATE message m SET state = 'cancelled', reason = 'unsubscribed' FROM unwanted u WHERE m.id = u.id
RETURNING m.version_id, m.campaign_id, m.mailing_id, coalesce(m.chapter_id, 0) AS chapter, m.step
""")

# The letter whose link she followed, wherever it lies.
_LETTER = """
SELECT contact_id, chapter_id, kind, created_at, version_id, campaign_id, mailing_id, step, handover_id
FROM message WHERE id = :message_id
UNION ALL SELECT contact_id, chapter_id, kind, created_at, version_id, campaign_id, mailing_id, step, NULL
FROM past_letter WHERE id = :message_id
"""
# Unless she has stopped something by it before.
_STOPPED_BY = text(f"""
SELECT m.version_id, m.campaign_id, m.mailing_id, coalesce(m.chapter_id, 0) AS chapter, m.step, m.handover_id
FROM ({_LETTER}) m WHERE m.contact_id = ANY(:ids) AND m.version_id <> 0 AND NOT EXISTS (
    SELECT FROM consent s WHERE s.contact_id = ANY(:ids) AND s.channel = 'mail' AND NOT s.given AND s.place = :place)
""")

_WAKE = text("""
UPDATE message SET due_at = :now, reason = '' WHERE contact_id = ANY(:ids) AND state = 'ready' AND reason = :paused
RETURNING lane
""")

_ABOUT = text(f"""
SELECT c.language, m.kind, m.created_at, h.parent_id IS NOT NULL AS of_chapter,
    (SELECT name FROM chapter WHERE parent_id IS NULL LIMIT 1) AS organisation
FROM contact c LEFT JOIN ({_LETTER}) m ON true LEFT JOIN chapter h ON h.id = m.chapter_id WHERE c.id = :id
""")


@dataclass(frozen=True, slots=True)
class Addressed:
    """Whom a letter went to, and which. `address` is masked: empty when she was erased. `kind`: one of KINDS or ''.

    `stopped`: she gets no letters any more. `made_at`: None when there is no such letter.
    """

    organisation: str
    address: str
    language: str
    kind: str
    of_chapter: bool
    made_at: datetime | None
    stopped: bool


def addressed(session: Session, contact_id: int, message_id: int) -> Addressed | None:
    """What the page of a link to unsubscribe shows; None when there is no such contact."""
    found = session.execute(_ABOUT, {"id": contact_id, "message_id": message_id}).one_or_none()
    if found is None:
        return None
    same = contacts.same(session, contact_id, lock=False)
    return Addressed(
        organisation=found.organisation or "",
        address=preferences.masked(same[-1].email or "") if same else "",
        language=found.language,
        kind=found.kind or "",
        of_chapter=bool(found.of_chapter),
        made_at=found.created_at,
        stopped=consent.stopped_since(session, same[-1].id, EVER) is not None if same else False,
    )


def unsubscribe(
    session: Session,
    contact_id: int,
    message_id: int | None,
    scope: str,
    now: datetime,
    *,
    source: str,
    wording: str = "",
) -> list[Event]:
    """No more letters of this scope (one of SCOPES) to her, whoever she was merged into. Twice is once.

    `message_id`: the letter whose link she followed; none: her preferences. Of somebody who was erased nothing is left to
    stop: what is known of her is a hash, and it stands.
    """
    same = _held(session, contact_id)
    if not same:
        return []
    place = {"message_id": message_id, "place": _place(message_id)}
    by = session.execute(_STOPPED_BY, {"ids": _ids(same)} | place).all() if message_id is not None else []
    unwanted = session.execute(_CANCEL, {"ids": _ids(same), "scope": scope}).all()
    counted = tally.of_steps([*((row, "unsubscribed") for row in by), *((row, "cancelled") for row in unwanted)])
    kind = "" if scope == EVERYTHING else scope
    at = consent.say(
        session, _ids(same), [Said(kind, given=False, wording=wording)], now, source=source, place=_place(message_id)
    )
    if scope != EVERYTHING:
        return counted
    addresses = [one.email for one in same if one.email]
    known = consent.standing(session, addresses)
    fresh = [each for each in addresses if "unsubscribe" not in known.get(each, ())]
    suppressions.suppress(session, (Suppressed(each, "unsubscribe", at, None) for each in fresh))
    return [Unsubscribed(None, same[-1].id), *counted]


def pause(
    session: Session, contact_id: int, message_id: int | None, now: datetime, *, source: str, wording: str = ""
) -> datetime:
    """No letters that need leave for PAUSE. What is ready waits, unless it is too late by then. Returns when it ends."""
    until = now + PAUSE
    _say(session, contact_id, Said("pause", given=False, wording=wording, until=until), message_id, now, source=source)
    return until


def fewer(
    session: Session, contact_id: int, message_id: int | None, now: datetime, *, source: str, wording: str = ""
) -> None:
    """Fewer letters, as whoever counts them understands it (`consent.words`)."""
    _say(session, contact_id, Said("many", given=False, wording=wording), message_id, now, source=source)


def resume(session: Session, contact_id: int, now: datetime, *, source: str, wording: str = "") -> list[Event]:
    """The pause ends: what waited for its end is due."""
    same = _say(session, contact_id, Said("pause", given=True, wording=wording), None, now, source=source)
    lanes = set(session.scalars(_WAKE, {"ids": _ids(same), "now": now, "paused": PAUSED}))
    return [LettersComposed(None, lane) for lane in sorted(lanes)]


def _say(
    session: Session, contact_id: int, word: Said, message_id: int | None, now: datetime, *, source: str
) -> Sequence[Same]:
    same = _held(session, contact_id)
    if same:
        consent.say(session, _ids(same), [word], now, source=source, place=_place(message_id))
    return same


def _held(session: Session, contact_id: int) -> Sequence[Same]:
    """Who she is, locked in the order of the house (`engine.people.locks`): her letters that wait, then herself."""
    session.execute(_LETTERS, {"ids": _ids(contacts.same(session, contact_id, lock=False))}).all()
    return contacts.same(session, contact_id, lock=True)


def _ids(same: Sequence[Same]) -> list[int]:
    return [one.id for one in same]


def _place(message_id: int | None) -> str:
    return "preferences" if message_id is None else f"message {message_id}"
