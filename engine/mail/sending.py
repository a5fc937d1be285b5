"""Whether letters leave at all: a person stops them and lets them go; a database that was restored holds them by itself.

While they are held nothing is handed over, receipts neither; everything else goes on. After a restore a person says whether
all was replayed that the provider told in the lost hours: if so, what it told nothing of has not left. If not, what may not
come twice (letters of campaigns and sequences) and is due by now is taken to have left; receipts and the like may come once
more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.errors import Conflict
from engine.events import Event, HumanNeeded, MatterSettled
from engine.mail import tally, whereabouts
from engine.mail.holds import RESTORED, STAFF
from engine.mail.lost import WHY

HELD = "sending held"  # the kind of notice
SUBJECT = "all letters"
PRESUMED = "may have left in hours that a restore lost"
ADVICE = (
    "this database was restored, or a standby took over: replay what came in meanwhile, then `groundswell sending release` "
    "(docs/backups.md)"
)

_OPEN = text("""
SELECT reason, since FROM mail_hold WHERE lifted_at IS NULL AND reason IN ('restored', 'staff') ORDER BY since, reason
""")
_STOP = text("""
INSERT INTO mail_hold (reason, since, receipts_too) VALUES ('staff', now(), true)
ON CONFLICT (reason) WHERE lifted_at IS NULL DO NOTHING RETURNING id
""")
_RELEASE = text("""
UPDATE mail_hold SET lifted_at = now() WHERE lifted_at IS NULL AND reason IN ('restored', 'staff') RETURNING reason
""")
_RELEASED = text("UPDATE restoration SET released_at = now() WHERE released_at IS NULL")
_LOST = text("SELECT min(seen_at) AS since, max(found_at) AS until FROM restoration WHERE released_at IS NULL")
_TOLD = text("""
SELECT (SELECT count(*) FROM message m JOIN handover h ON h.id = m.handover_id JOIN restoration r
        ON h.id > r.last_handover_id AND h.id <= r.next_handover_id
        WHERE r.released_at IS NULL AND h.reason = :why) AS known,
    (SELECT count(*) FROM lost_letter WHERE became_id IS NULL) AS unknown,
    (SELECT count(*) FROM message WHERE state = 'ready') AS ready,
    (SELECT count(*) FROM inbound_event WHERE state = 'pending') AS pending
""")
# What may not come twice, and may have left: all that is due, but of campaigns that were launched since.
_PRESUME = text("""
UPDATE message m SET state = 'skipped', reason = :why
WHERE state = 'ready' AND lane = 'delivery' AND due_at <= :now AND kind <> ''
    AND NOT EXISTS (SELECT FROM campaign k WHERE k.id = m.campaign_id AND k.launched_at > :found)
RETURNING m.id, m.mailing_id, m.version_id, m.campaign_id, coalesce(m.chapter_id, 0) AS chapter, m.step
""")


@dataclass(frozen=True, slots=True)
class Status:
    """How it stands. `holds`: (reason, since). `lost_since`, `lost_until`: the hours that a restore lost, if any.
    `known`: letters here that are known to have left in them; `unknown`: letters told of that nothing here is; `ready`:
    letters that wait; `pending`: raw events that are not applied yet."""

    holds: Sequence[tuple[str, datetime]]
    lost_since: datetime | None
    lost_until: datetime | None
    known: int
    unknown: int
    ready: int
    pending: int


def status(session: Session) -> Status:
    """How it stands with sending."""
    held = [(row.reason, row.since) for row in session.execute(_OPEN)]
    span, told = session.execute(_LOST).one(), session.execute(_TOLD, {"why": WHY}).one()
    return Status(held, span.since, span.until, told.known, told.unknown, told.ready, told.pending)


def look(session: Session) -> list[Event]:
    """See where this database is (`whereabouts`); a person is told, once, when it was restored."""
    whereabouts.look(session)
    found = {row.reason for row in session.execute(_OPEN)}
    return [HumanNeeded(None, HELD, SUBJECT, ADVICE)] if RESTORED in found and _untold(session) else []


_UNTOLD = text("SELECT NOT EXISTS (SELECT FROM notice WHERE kind = :kind AND resolved_at IS NULL)")


def _untold(session: Session) -> bool:
    return bool(session.scalar(_UNTOLD, {"kind": HELD}))


def stop(session: Session, *, restored: bool = False) -> bool:
    """Hold every letter, until a person lets them go. False: she did before. `restored`: this database was, she says."""
    if restored:
        whereabouts.declare(session)
        return True
    return session.scalar(_STOP) is not None


def release(
    session: Session, now: datetime, *, presume: bool, replayed: bool
) -> tuple[Sequence[str], int, list[Event]]:
    """Let letters go. Returns what held them, how many are taken to have left, and what followed.

    Raises Conflict when this database was restored and nobody says whether everything was replayed.
    """
    span = session.execute(_LOST).one()
    if RESTORED in {row.reason for row in session.execute(_OPEN)} and not presume and not replayed:
        raise Conflict(
            "this database was restored: say --replayed if all was replayed that the mail provider told meanwhile, or "
            "--presume if not (docs/backups.md)"
        )
    happened: list[Event] = [MatterSettled(None, HELD, SUBJECT)]
    skipped = 0
    if presume and span.until is not None:
        rows = session.execute(_PRESUME, {"now": now, "found": span.until, "why": PRESUMED}).all()
        skipped = len(rows)
        happened += tally.of_steps((row, "skipped") for row in rows)
    lifted = session.scalars(_RELEASE).all()
    session.execute(_RELEASED)
    return lifted, skipped, happened


def held(session: Session) -> str:
    """Why no letter leaves, in a word; "" when they do."""
    found = [row.reason for row in session.execute(_OPEN)]
    return RESTORED if RESTORED in found else STAFF if found else ""
