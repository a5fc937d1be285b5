"""Addresses that must not be written to, and consent that was withdrawn: written in the transaction of what caused it."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.events import Event, SignUpReported
from engine.people import consent
from engine.settings import Settings

# The newest word of each reason counts, whatever the order in which they come: who unsubscribed again is not written to
# because of a yes in between. What a person says under one address holds for all that she was merged from and into; a bounce
# is a fact about that address alone.
_SUPPRESS = text(f"""
WITH told AS (
    SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS v(email text, reason text, at timestamptz, cause bigint)
), hers AS (
    SELECT * FROM told WHERE reason NOT IN {consent.OF_ONE_ADDRESS}
), every AS (
    SELECT * FROM told
    UNION ALL
    SELECT other.email, t.reason, t.at, t.cause FROM hers t JOIN contact c ON c.email = t.email
    JOIN contact other ON other.id = c.merged_into_id
    UNION ALL
    SELECT other.email, t.reason, t.at, t.cause FROM hers t JOIN contact c ON c.email = t.email
    JOIN contact other ON other.merged_into_id = coalesce(c.merged_into_id, c.id)
)
INSERT INTO suppression (email, reason, at, inbound_event_id)
SELECT DISTINCT ON (email, reason) email, reason, at, cause FROM every WHERE email IS NOT NULL
ORDER BY email, reason, at DESC, cause
ON CONFLICT (email, reason) DO UPDATE SET at = excluded.at, inbound_event_id = excluded.inbound_event_id
    WHERE excluded.at > suppression.at
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
    newest: dict[tuple[str, str], Suppressed] = {}
    for word in sorted(told, key=lambda word: word.at):
        newest[word.email, word.reason] = word
    if newest:
        session.execute(_SUPPRESS, {"rows": rows(map(asdict, newest.values()))})


def opted_out(session: Session, told: Sequence[SignUpReported], _: datetime, __: Settings) -> list[Event]:
    """Whoever another system tells us wants no more mail: her address is suppressed, so that only she takes it back, and
    no list that knew her once."""
    suppress(
        session,
        [Suppressed(one.person.email, "unsubscribe", one.at, one.cause)
         for one in told if one.mail is False and one.person.email],
    )  # fmt: skip
    return []


def withdraw(session: Session, told: Iterable[Withdrawn]) -> None:
    """Put these withdrawals of consent to mail on record, each once."""
    no = {"channel": "mail", "given": False, "place": "", "wording": ""}
    if words := [asdict(word) | no for word in told]:
        consent.hear(session, words)
