"""Whether letters leave at all: a person stops them and lets them go; a database that was restored holds them by itself.

While they are held nothing is handed over, receipts neither; everything else goes on. After a restore a person says whether
all was replayed that the provider told in the lost hours: if so, what it told nothing of has not left. If not, what may not
come twice (letters of campaigns and sequences, of people who were in them before) and is due within a day, for quiet hours
may be in between, is taken to have left; receipts and the like may come once more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine import bell
from engine.errors import Conflict
from engine.events import Event, HumanNeeded, MatterSettled
from engine.mail import tally, whereabouts
from engine.mail.holds import RESTORED, STAFF
from engine.mail.lost import WHY

HELD = "sending held"  # the kind of notice
SUBJECT = "all letters"
MOST = 2_000  # letters in one transaction
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
_UNHEARD = text("SELECT count(*) FROM inbound_event WHERE state = 'pending' AND lane = :lane")
_TOLD = text("""
SELECT (SELECT count(*) FROM message m JOIN handover h ON h.id = m.handover_id JOIN restoration r
        ON h.id > r.last_handover_id AND h.id <= r.next_handover_id
        WHERE r.released_at IS NULL AND h.reason = :why) AS known,
    (SELECT count(*) FROM lost_letter WHERE became_id IS NULL) AS unknown,
    (SELECT count(*) FROM message WHERE state = 'ready') AS ready,
    (SELECT count(*) FROM inbound_event WHERE state = 'pending') AS pending
""")
# What may not come twice, and may have left: all that is due, but of campaigns that were launched since, and of people who
# have entered since.
_PRESUME = text("""
WITH chosen AS MATERIALIZED (
    SELECT id FROM message m
    WHERE state = 'ready' AND lane = 'delivery' AND id > :after AND (version_id <> 0 OR kind <> '')
        AND due_at <= CAST(:now AS timestamptz) + interval '1 day'
        AND NOT EXISTS (SELECT FROM campaign k WHERE k.id = m.campaign_id AND k.launched_at > :found)
        AND coalesce((SELECT min(e.entered_at) FROM enrollment e WHERE e.contact_id = m.contact_id
            AND e.version_id = m.version_id AND e.campaign_id = m.campaign_id) <= :found, true)
    ORDER BY id LIMIT :most FOR UPDATE
)
UPDATE message m SET state = 'skipped', reason = :why FROM chosen c WHERE m.id = c.id
RETURNING m.id, m.mailing_id, m.version_id, m.campaign_id, coalesce(m.chapter_id, 0) AS chapter, m.step
""")
# Steps that may have been taken in the lost hours, and are to be taken again: their letters would come after the release.
_TO_COME = text("""
SELECT (SELECT count(*) FROM enrollment e JOIN sequence_version v ON v.id = e.version_id
        LEFT JOIN sequence q ON q.id = v.sequence_id LEFT JOIN campaign k ON k.id = e.campaign_id
        WHERE e.state = 'active' AND e.due_at <= least(:found, CAST(:now AS timestamptz)) AND q.paused_at IS NULL
            AND (e.campaign_id = 0 OR k.paused_at IS NULL AND k.state NOT IN ('draft', 'cancelled')))
    + (SELECT count(*) FROM campaign k LEFT JOIN sequence q ON q.id = k.sequence_id
        WHERE k.launched_at <= :found AND k.paused_at IS NULL AND q.paused_at IS NULL
            AND (k.state = 'expanding' OR k.state = 'scheduled' AND greatest(k.starts_at, k.held_until) <= least(:found, :now)
                AND (NOT k.needs_approval OR k.approved_at IS NOT NULL)))
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


def presume(session: Session, now: datetime, after: int = 0, most: int = MOST) -> tuple[Sequence[int], list[Event]]:
    """Take up to so many letters beyond this one to have left, if this database was restored: which (their ids, in order),
    and what followed. To be called in transactions of its own, until there are fewer, and then released.

    Raises Conflict while others that may have left are still to be composed.
    """
    found = session.execute(_LOST).one().until
    if found is None:
        return (), []
    if coming := session.scalar(_TO_COME, {"found": found, "now": now}):
        raise Conflict(
            f"{coming:,} places and campaigns have a step to take again that may have been taken in the lost hours: wait "
            "until they have (`groundswell doctor` says if nobody works), or pause what they are of"
        )
    values = {"now": now, "found": found, "why": PRESUMED, "after": after, "most": most}
    skipped = session.execute(_PRESUME, values).all()
    return sorted(row.id for row in skipped), tally.of_steps((row, "skipped") for row in skipped)


def release(
    session: Session, now: datetime, *, presumed: bool, replayed: bool, anyway: bool = False
) -> tuple[Sequence[str], int, list[Event]]:
    """Let letters go. Returns what held them, how many are taken to have left at this moment, and what followed.

    Raises Conflict when this database was restored and nobody says whether everything was replayed; when it was, but what the
    provider told is not applied yet (`anyway`: never will be); when it was not, and there are letters still to be `presumed`
    or composed that may have left.
    """
    happened: list[Event] = [MatterSettled(None, HELD, SUBJECT)]
    skipped: Sequence[int] = ()
    if RESTORED in {row.reason for row in session.execute(_OPEN)}:
        if not presumed and not replayed:
            raise Conflict(
                "this database was restored: say --replayed if all was replayed that the mail provider told meanwhile, or "
                "--presume if not (docs/backups.md)"
            )
        if replayed and not anyway:
            _all_heard(session)
        if presumed:
            skipped, told = presume(session, now)
            happened += told
        if len(skipped) == MOST:
            raise Conflict("many letters were composed at this moment: say it again")
    lifted = session.scalars(_RELEASE).all()
    session.execute(_RELEASED)
    return lifted, len(skipped), happened


def _all_heard(session: Session) -> None:
    if waiting := session.scalar(_UNHEARD, {"lane": bell.FEEDBACK}):
        raise Conflict(
            f"{waiting:,} raw events of the mail provider are not applied yet, and each may say that a letter left: wait "
            "until they are, or say --anyway"
        )


def held(session: Session) -> str:
    """Why no letter leaves, in a word; "" when they do."""
    found = [row.reason for row in session.execute(_OPEN)]
    return RESTORED if RESTORED in found else STAFF if found else ""
