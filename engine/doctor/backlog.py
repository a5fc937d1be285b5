"""What is due and is not done, and what needs a person."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.doctor.findings import Finding, ok, span, warning, wrong
from engine.mail import sending
from engine.mail.holds import RESTORED

LATE_SECONDS, STUCK_SECONDS = 60.0, 900.0
CAMPAIGN_SECONDS = 3600.0  # letters of campaigns leave as fast as limits let them
CHORES_SECONDS = 900.0
NOTICES, QUARANTINE, CHORES, SENDING = "matters", "quarantine", "the pulse", "sending"

# Rows due now, by what they are. Times of inbox and chores are Postgres' own, those of letters and enrollments the house's.
_DUE = text("""
SELECT 'inbox ' || lane AS what, count(*) AS number, extract(epoch FROM now() - min(due_at))::float AS age
FROM inbound_event WHERE state = 'pending' AND due_at <= now() GROUP BY lane
UNION ALL SELECT 'letters ' || lane, count(*), extract(epoch FROM :now - min(due_at))::float
FROM message WHERE state = 'ready' AND due_at <= :now GROUP BY lane
UNION ALL SELECT 'sequences', count(*), extract(epoch FROM :now - min(e.due_at))::float
FROM enrollment e LEFT JOIN sequence_version v ON v.id = e.version_id LEFT JOIN sequence q ON q.id = v.sequence_id
LEFT JOIN campaign k ON k.id = e.campaign_id
WHERE e.state = 'active' AND e.due_at <= :now AND q.paused_at IS NULL
    AND (e.campaign_id = 0 OR k.paused_at IS NULL AND k.state NOT IN ('draft', 'cancelled'))
HAVING count(*) > 0
""")
_CHORES = text("SELECT extract(epoch FROM now() - min(due_at))::float FROM chore WHERE name = ANY(:names)")
_QUARANTINED = text("SELECT count(*) FROM inbound_event WHERE state = 'quarantined'")
_NOTICES = text("SELECT kind, count(*) AS number FROM notice WHERE resolved_at IS NULL GROUP BY kind ORDER BY kind")


@dataclass(frozen=True, slots=True)
class Lane:
    """Who works on such rows, and when they are late (a warning) and stuck (wrong; None: never)."""

    group: str
    late: float
    stuck: float | None


LANES = {
    "inbox intake": Lane("intake", LATE_SECONDS, STUCK_SECONDS),
    "inbox feedback": Lane("feedback", LATE_SECONDS * 5, STUCK_SECONDS * 4),
    "letters receipts": Lane("receipts", LATE_SECONDS, STUCK_SECONDS),
    "letters delivery": Lane("delivery", CAMPAIGN_SECONDS, None),
    "sequences": Lane("outreach", LATE_SECONDS * 5, STUCK_SECONDS * 4),
}


def of_work(session: Session, now: datetime, names: list[str]) -> list[Finding]:
    """Each lane, the chores of these names, what is in quarantine, what waits for a person. `now`: the house's."""
    due = {row.what: (row.number, row.age) for row in session.execute(_DUE, {"now": now})}
    lanes = [lane(what, *due.get(what, (0, 0.0))) for what in LANES]
    kinds = [(row.kind, row.number) for row in session.execute(_NOTICES)]
    return [
        *lanes,
        chores(session.scalar(_CHORES, {"names": names})),
        quarantine(session.scalar(_QUARANTINED) or 0),
        matters(kinds),
        leaving(sending.held(session)),
    ]


ADVICE = "Replay what came in meanwhile, then `groundswell sending release` (docs/backups.md says how)."


def leaving(held: str) -> Finding:
    """Whether letters may leave at all. `held`: why not, in a word."""
    if held == RESTORED:
        return wrong(SENDING, "this database was restored: no letter leaves", ADVICE)
    if held:
        return warning(SENDING, "a person holds every letter", "`groundswell sending release` lets them go.")
    return ok(SENDING, "letters may leave")


def lane(what: str, number: int, age: float) -> Finding:
    """So many rows of a lane are due, the oldest for so many seconds."""
    if not number:
        return ok(what, "nothing is due")
    works = LANES[what]
    seen = f"{number:,} due, the oldest for {span(age)}"
    advice = f"Look whether `groundswell worker --group {works.group}` runs and what it logs; more processes do more."
    if works.stuck is not None and age > works.stuck:
        return wrong(what, seen, advice)
    if age > works.late:
        if works.stuck is None:
            advice += " Limits and holds (`groundswell notices list`, MAIL_PER_SECOND) let letters wait, too."
        return warning(what, seen, advice)
    return ok(what, seen)


def chores(age: float | None) -> Finding:
    """The chore that is due for longest says whether anybody minds the schedule. None: there was never one."""
    advice = "Start `groundswell pulse` and a worker of the group `outreach`: without them nothing late is found again."
    if age is None:
        return wrong(CHORES, "no pulse has ever run here", advice)
    if age > CHORES_SECONDS:
        return wrong(CHORES, f"a chore is due for {span(age)}", advice)
    return ok(CHORES, "the chores are done in time")


def quarantine(number: int) -> Finding:
    """Raw events that could not be understood."""
    if number:
        advice = "`groundswell notices list` names them, `events show` shows one, `events replay` tries again."
        return warning(QUARANTINE, f"{number:,} events could not be understood", advice)
    return ok(QUARANTINE, "empty")


def matters(kinds: list[tuple[str, int]]) -> Finding:
    """Open notices, by kind."""
    if not kinds:
        return ok(NOTICES, "nothing needs a person")
    seen = ", ".join(f"{kind} ({number})" if number > 1 else kind for kind, number in kinds)
    return warning(NOTICES, seen, "Read `groundswell notices list`; `notices resolve` says that one was seen to.")
