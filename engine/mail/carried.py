"""What people said to us directly (on our pages, by the buttons of their mail programs), out of one database into another.

No outsider can tell it again: their words on mail, and the addresses that are not to be written to. In a file they stand
beside raw events (`engine.inbox_files`). A word is known by its moment, so that twice is once.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import IO, Any

from pydantic import AwareDatetime, TypeAdapter
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.inbox_files import Line, Strict
from engine.mail import suppressions
from engine.mail.suppressions import Suppressed
from engine.people import consent

_WORDS = text("""
SELECT c.email, s.channel, s.kind, s.given, s.until, s.at, s.source, s.place, s.wording
FROM consent s JOIN contact c ON c.id = s.contact_id
WHERE s.at >= :since AND s.inbound_event_id IS NULL AND c.email IS NOT NULL ORDER BY s.id
""")
_STOPS = text("""
SELECT email, reason, at FROM suppression WHERE at >= :since AND inbound_event_id IS NULL ORDER BY id
""")
_WHO = text("SELECT email, id FROM contact WHERE email = ANY(:emails)")


class Word(Strict):
    """What somebody said of mail or text messages: the columns of `consent`."""

    email: str
    channel: str
    kind: str
    given: bool
    until: AwareDatetime | None
    at: AwareDatetime
    source: str
    place: str
    wording: str


class Stop(Strict):
    """An address that is not to be written to: the columns of `suppression`."""

    email: str
    reason: str
    at: AwareDatetime


LINES: TypeAdapter[Any] = TypeAdapter(Line | Word | Stop)


def export(session: Session, since: datetime, file: IO[bytes]) -> int:
    """Write what was said since then. Returns how many words."""
    said: list[Strict] = [Word(**row._mapping) for row in session.execute(_WORDS, {"since": since})]
    said += [Stop(**row._mapping) for row in session.execute(_STOPS, {"since": since})]
    for each in said:
        file.write(each.model_dump_json().encode() + b"\n")
    return len(said)


def store(session: Session, said: Sequence[Word | Stop]) -> int:
    """Put these on record, each once. Returns how many words are left out, for they are of people who are not here (yet);
    what is said of addresses never is."""
    words = [each for each in said if isinstance(each, Word)]
    suppressions.suppress(session, _stops(each for each in said if isinstance(each, Stop)))
    known = {row.email: row.id for row in session.execute(_WHO, {"emails": [word.email for word in words]})}
    heard = [
        word.model_dump(exclude={"email"}) | {"contact_id": known[word.email], "cause": None}
        for word in words if word.email in known
    ]  # fmt: skip
    if heard:
        consent.hear(session, heard)
    return len(words) - len(heard)


def _stops(stops: Iterable[Stop]) -> Iterable[Suppressed]:
    return (Suppressed(each.email, each.reason, each.at, None) for each in stops)
