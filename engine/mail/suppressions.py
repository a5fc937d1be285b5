"""Addresses that must not be written to, and consent that was withdrawn: written in the transaction of what caused it."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.db import rows

# The earliest word of each reason stays, whatever the order in which they come.
_SUPPRESS = text("""
INSERT INTO suppression (email, reason, at, inbound_event_id)
SELECT email, reason, at, cause
FROM json_to_recordset(CAST(:rows AS json)) AS v(email text, reason text, at timestamptz, cause bigint)
ORDER BY email, reason
ON CONFLICT (email, reason) DO UPDATE SET at = excluded.at, inbound_event_id = excluded.inbound_event_id
    WHERE excluded.at < suppression.at
""")

_WITHDRAW = text("""
INSERT INTO consent (contact_id, channel, given, at, source, inbound_event_id)
SELECT contact_id, 'mail', false, at, source, cause
FROM json_to_recordset(CAST(:rows AS json)) AS v(contact_id bigint, at timestamptz, source text, cause bigint)
ORDER BY contact_id, at
ON CONFLICT (contact_id, channel, at, given, source) DO NOTHING
""")


@dataclass(frozen=True, slots=True)
class Suppressed:
    """An address that must not be written to since `at`. `reason`: bounce, complaint, unsubscribe or invalid."""

    email: str
    reason: str
    at: datetime
    cause: int | None


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A person who wants no more mail since `at`, as `source` told."""

    contact_id: int
    at: datetime
    source: str
    cause: int | None


def suppress(session: Session, told: Iterable[Suppressed]) -> None:
    """Put these addresses on record, each once for a reason."""
    earliest: dict[tuple[str, str], Suppressed] = {}
    for word in sorted(told, key=lambda word: word.at, reverse=True):
        earliest[word.email, word.reason] = word
    if earliest:
        session.execute(_SUPPRESS, {"rows": rows(map(asdict, earliest.values()))})


def withdraw(session: Session, told: Iterable[Withdrawn]) -> None:
    """Put these withdrawals of consent to mail on record, each once."""
    if records := [asdict(word) for word in told]:
        session.execute(_WITHDRAW, {"rows": rows(records)})
