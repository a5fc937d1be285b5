"""Holds: while one is open, no campaign letter leaves. The mail provider suspended our account; a person lifts it."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.events import AccountReported, Event, FactRecorded, HumanNeeded, MailStopped
from engine.settings import Settings

SUSPENDED = "suspended"
STOPPED, CHANGED = "mail stopped", "mail account changed"  # kinds of notice
PROVIDER = "mail provider"

# Told again after it was lifted, it is old news.
_HOLD = text("""
INSERT INTO mail_hold (reason, since)
SELECT :reason, :since WHERE NOT EXISTS (
    SELECT FROM mail_hold WHERE reason = :reason AND (lifted_at IS NULL OR lifted_at >= :since))
ON CONFLICT (reason) WHERE lifted_at IS NULL DO NOTHING
RETURNING id
""")

_LIFT = text("UPDATE mail_hold SET lifted_at = :now WHERE lifted_at IS NULL RETURNING id")


def account_told(session: Session, told: Sequence[AccountReported], _: datetime, __: Settings) -> list[Event]:
    """A suspension stops campaigns, once; everything else about the account is told to a person."""
    facts: list[Event] = []
    for word in told:
        if word.status != SUSPENDED:
            facts += [FactRecorded(word.cause), HumanNeeded(word.cause, CHANGED, PROVIDER, f"status: {word.status}")]
    suspensions = [word for word in told if word.status == SUSPENDED]
    if not suspensions:
        return facts
    newest = max(suspensions, key=lambda word: word.at)
    if session.scalar(_HOLD, {"reason": SUSPENDED, "since": newest.at}) is None:
        return facts
    advice = "it suspended our account: campaigns stand still until `groundswell letters resume`"
    return [*facts, MailStopped(newest.cause), HumanNeeded(newest.cause, STOPPED, PROVIDER, advice)]


def lift(session: Session, now: datetime) -> int:
    """Let campaigns go on. Returns how many holds were open."""
    return len(session.scalars(_LIFT, {"now": now}).all())
