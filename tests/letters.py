"""Letters of invented people as if they had been handed over, and what SendGrid tells of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine import bell
from engine.bootstrap import Deps
from engine.db import rows, transaction
from engine.events import LetterReported
from engine.sources import letter_ids
from tests.flows.house import put
from tests.make import raw
from workers import intake

AT = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
_numbers = count(1)

_HAND_OVER = text("""
WITH given AS (
    SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS v(email text, handover text, message text, lane text,
        provider_id text, number int)
), person AS (
    INSERT INTO contact (email, details_at, routed_by, routed_on)
    SELECT DISTINCT email, 'epoch'::timestamptz, 'test', 'test' FROM given
    ON CONFLICT (email) DO UPDATE SET routed_on = 'test' RETURNING id, email
), mailing AS (SELECT id FROM mailing WHERE slug = 'thank_you'), request AS (
    INSERT INTO handover (mailing_id, lane, state, provider_id, due_at, created_at)
    SELECT mailing.id, lane, handover, provider_id, now() + interval '1 hour', :at FROM given, mailing
    RETURNING id, provider_id
)
INSERT INTO message (contact_id, mailing_id, occasion, lane, state, due_at, facts, handover_id, attempts)
SELECT person.id, mailing.id, 'test:' || number, lane, message, now(), '{}', request.id, 1
FROM mailing, given JOIN person USING (email) JOIN request USING (provider_id) ORDER BY number
RETURNING id, handover_id, contact_id
""")


@dataclass(frozen=True)
class Sent:
    """One letter that a provider has."""

    message_id: int
    handover_id: int
    contact_id: int
    email: str
    provider_id: str


def hand_over(
    session: Session, many: int = 1, *, email: str | None = None, handover: str = "accepted", message: str = "handed",
    lane: str = "receipts", at: datetime = AT - timedelta(minutes=1),
) -> list[Sent]:  # fmt: skip
    """Letters with a handover of their own, each to a person of its own unless `email` names one."""
    numbers = [next(_numbers) for _ in range(many)]
    given = [
        {
            "email": email or f"rosa.{number}@example.org",
            "handover": handover,
            "message": message,
            "lane": lane,
            "provider_id": f"prov{number}x",
            "number": number,
        }
        for number in numbers
    ]
    found = session.execute(_HAND_OVER, {"rows": rows(given), "at": at}).all()
    return [Sent(*row, each["email"], each["provider_id"]) for row, each in zip(found, given, strict=True)]


def sent(deps: Deps, many: int = 1, **terms: Any) -> list[Sent]:
    """The same, committed."""
    with transaction(deps.sessions) as session:
        return hand_over(session, many, **terms)


def element(event: str, letter: Sent, seconds: int = 0, **changed: Any) -> dict[str, Any]:
    """What SendGrid tells of a letter, so many seconds after the letters left. Changed to None: left out."""
    body: dict[str, Any] = {
        "email": letter.email,
        "timestamp": int(AT.timestamp()) + seconds,
        "smtp-id": "<14c5d75ce93.dfd.64b469@ismtpd-555>",
        "event": event,
        "category": ["thanks"],
        "sg_event_id": f"ev-{next(_numbers)}",
        "sg_message_id": f"{letter.provider_id}.filter0001.16648.5515E0B88.0",
        "gs_message": letter_ids.encode(letter.message_id),
        "gs_handover": letter_ids.encode(letter.handover_id),
    }
    if event == "click":
        body |= {"url": "https://example.org/give", "useragent": "Mozilla/5.0", "ip": "192.0.2.7"}
    if event == "bounce":
        body |= {"type": "bounce", "reason": f"550 5.1.1 <{letter.email}> unknown", "status": "5.1.1"}
    return {name: value for name, value in (body | changed).items() if value is not None}


def word(kind: str, letter: Sent, seconds: int = 0, **changed: Any) -> LetterReported:
    """The same as the parser says it."""
    told: dict[str, Any] = {
        "cause": None, "kind": kind, "at": AT + timedelta(seconds=seconds), "email": letter.email,
        "message_id": letter.message_id, "handover_id": letter.handover_id, "provider_id": letter.provider_id,
        "suppresses": {"bounce": "bounce", "spamreport": "complaint", "unsubscribe": "unsubscribe"}.get(kind, ""),
    }  # fmt: skip
    return LetterReported(**told | changed)


def tell(deps: Deps, elements: Sequence[Any]) -> int:
    """One body of these elements, taken in and drained. Returns the id of the whole one."""
    whole = put(deps, raw(list(elements)), lane=bell.FEEDBACK, source="sendgrid")
    intake.drain(deps, bell.FEEDBACK)
    return whole
