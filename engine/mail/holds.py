"""Holds: while one is open, no campaign letter leaves, and while the provider itself cannot take any, no other either.

suspended: it suspended our account; a person lifts that. key: it refuses our key or address. away: nothing reaches it.
busy: it asked us to wait. silent: it tells nothing of what became of letters. All but the first end by themselves.
restored: this database is not where it was (`engine.mail.whereabouts`); staff: a person stopped everything. Both hold every
letter, and end by `engine.mail.sending` alone.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.events import AccountReported, Event, FactRecorded, HumanNeeded, MailStopped, MatterSettled
from engine.mail.whereabouts import ELSEWHERE
from engine.settings import Settings

SUSPENDED, KEY, AWAY, BUSY, SILENT = "suspended", "key", "away", "busy", "silent"
RESTORED, STAFF = "restored", "staff"
STOPPED, CHANGED = "mail stopped", "mail account changed"  # kinds of notice
PROVIDER = "mail provider"
SHORTEST, LONGEST = (
    timedelta(seconds=15),
    timedelta(minutes=5),
)  # of a hold that we put on ourselves; it grows as it lasts
TOLD_AFTER = timedelta(minutes=15)  # that nothing reaches the provider

# SQL: whether letters of the lane :lane are held at :now. That this database is elsewhere than it was is asked in the same
# statement: however a process came to it, nothing leaves before it was looked at.
HELD = f"""
(EXISTS (SELECT FROM mail_hold hold WHERE hold.lifted_at IS NULL AND (hold.until IS NULL OR hold.until > :now)
    AND (hold.receipts_too OR :lane = 'delivery')) OR {ELSEWHERE})
"""

# Told again after it was lifted, it is old news.
_SUSPEND = text("""
INSERT INTO mail_hold (reason, since)
SELECT :reason, :since WHERE NOT EXISTS (
    SELECT FROM mail_hold WHERE reason = :reason AND (lifted_at IS NULL OR lifted_at >= :since))
ON CONFLICT (reason) WHERE lifted_at IS NULL DO NOTHING
RETURNING id
""")
# A wait that was over for longer than any lasts is another one. Whatever else goes on does so until something is taken.
_HOLD = text("""
INSERT INTO mail_hold AS h (reason, since, until, receipts_too)
VALUES (:reason, :now, CAST(:now AS timestamptz) + :least, :receipts_too)
ON CONFLICT (reason) WHERE lifted_at IS NULL DO UPDATE SET
    since = CASE WHEN h.reason = 'busy' AND h.until < :now - :most THEN excluded.since ELSE h.since END,
    until = CASE WHEN h.reason = 'busy' AND h.until < :now - :most THEN excluded.until
        ELSE greatest(h.until, :now + greatest(:least, least(:now - h.since, :most))) END
RETURNING since
""")
# Something was taken: nothing but a wait that is not over stands against the next letter.
_WORKS = text("""
UPDATE mail_hold SET lifted_at = :now
WHERE lifted_at IS NULL AND (reason IN ('key', 'away') OR reason = 'busy' AND until <= :now) RETURNING reason
""")
_LIFT = text("""
UPDATE mail_hold SET lifted_at = :now WHERE lifted_at IS NULL AND reason NOT IN ('restored', 'staff') RETURNING id
""")


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
    if session.scalar(_SUSPEND, {"reason": SUSPENDED, "since": newest.at}) is None:
        return facts
    advice = "it suspended our account: campaigns stand still until `groundswell letters resume`"
    return [*facts, MailStopped(newest.cause), HumanNeeded(newest.cause, STOPPED, PROVIDER, advice)]


def hold(session: Session, reason: str, now: datetime, *, wait: timedelta = SHORTEST, detail: str = "") -> list[Event]:
    """Hold letters for a while: `wait` at least, longer each time that the same goes on. A person is told of what will not
    pass by itself."""
    terms = {"reason": reason, "now": now, "least": wait, "most": LONGEST, "receipts_too": reason != SILENT}
    since: datetime = session.execute(_HOLD, terms).scalar_one()
    if reason in (KEY, SILENT) or (reason == AWAY and now - since >= TOLD_AFTER):
        return [HumanNeeded(None, STOPPED, f"{PROVIDER}: {reason}", detail)]
    return []


def works(session: Session, now: datetime) -> list[Event]:
    """The provider took letters: what we held because it could not is free again."""
    return [MatterSettled(None, STOPPED, f"{PROVIDER}: {reason}") for reason in session.scalars(_WORKS, {"now": now})]


def lift(session: Session, now: datetime) -> int:
    """Let campaigns go on. Returns how many holds were open; those of a restore and of staff stay."""
    return len(session.scalars(_LIFT, {"now": now}).all())
