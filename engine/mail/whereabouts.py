"""Where this database is: whether it is the one that it was, or was restored from a backup.

What Postgres says of itself (its cluster, its line of time, the database, the table) stands in one row. A restore to a point
in time, a dump brought back, a standby that took over: each makes another mark. Whoever of us comes to such a database first
holds all letters (`holds.RESTORED`) and lets every id jump: outsiders hold ids of the hours that may be lost, in links and
in what they tell, and those must never name anything else. A snapshot of the disks keeps its mark: nothing here can see
it, and a person has to say it (`declare`).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Row, event, text
from sqlalchemy.orm import Session

JUMP = 100_000_000  # ids that lost hours cannot have used up, were the clock wrong
# Lost ids may be smaller than some that are here: another transaction was faster. And a sequence is no witness: its WAL is
# written ahead, so that it comes back as if it had given out up to 32 more.
SLACK = 100_000
SEEN = timedelta(seconds=10)  # how often a moment is written down

# SQL: whether this database is elsewhere than it was. Asked once a statement, whatever it is about.
ELSEWHERE = "EXISTS (SELECT FROM database_home w WHERE w.mark <> database_mark() || '/' || w.tableoid)"
_HERE = "database_mark() || '/' || CAST(CAST('database_home' AS regclass) AS oid)"

_KNOWN = text("SELECT to_regclass('database_home') IS NOT NULL AND to_regproc('database_mark') IS NOT NULL")
_LOOK = text(f"""
SELECT w.mark, w.seen_at, now() AS now, CASE WHEN current_setting('transaction_read_only') = 'off' THEN {_HERE} END AS here
FROM (VALUES (1)) v LEFT JOIN database_home w ON true
""")
_FIRST = text(f"INSERT INTO database_home (id, mark) SELECT 1, {_HERE} ON CONFLICT (id) DO NOTHING")
_SEEN = text("UPDATE database_home SET seen_at = now() WHERE mark = :here AND seen_at < now() - :seen")
_LOCK = text("SELECT mark, seen_at FROM database_home WHERE mark <> :here FOR UPDATE")
_OWN = text("SELECT mark, seen_at FROM database_home FOR UPDATE")
# Of every table that Postgres numbers: the last id that was given out, and that after which it goes on: the microseconds
# since 2020. Of two restores to one moment neither repeats what the other gave out, for nobody makes a row a microsecond.
_JUMP = text("""
WITH numbered AS MATERIALIZED (
    SELECT t.relname AS name, s.oid, coalesce(pg_sequence_last_value(s.oid), 0) AS last
    FROM pg_class s JOIN pg_depend d ON d.objid = s.oid AND d.classid = 'pg_class'::regclass AND d.deptype = 'i'
    JOIN pg_class t ON t.oid = d.refobjid AND d.refclassid = 'pg_class'::regclass
    WHERE s.relkind = 'S' AND t.relnamespace = CAST(current_schema() AS regnamespace)
)
SELECT name, setval(CAST(oid AS regclass), greatest(last + :jump,
    CAST(extract(epoch FROM clock_timestamp() - CAST('2020-01-01T00:00Z' AS timestamptz)) * 1000000 AS bigint))) AS next
FROM numbered
""")
_FOUND = text("""
INSERT INTO restoration (was, is_now, seen_at, last_message_id, next_message_id, last_handover_id, next_handover_id)
SELECT :was, :here, :seen_at, greatest((SELECT coalesce(max(id), 0) FROM message) - :slack, 0), :next_message,
    greatest((SELECT coalesce(max(id), 0) FROM handover) - :slack, 0), :next_handover
""")
_HOLD = text("""
INSERT INTO mail_hold (reason, since, receipts_too) VALUES ('restored', now(), true)
ON CONFLICT (reason) WHERE lifted_at IS NULL DO NOTHING
""")
_MOVE = text("UPDATE database_home SET mark = :here, seen_at = now()")


@dataclass(frozen=True, slots=True)
class Found:
    """This database was found restored: until when it was seen before."""

    seen_at: datetime


def look(session: Session, *, seen: bool = True) -> Found | None:
    """See where this database is, and write down that it was `seen`. Elsewhere than it was: hold all letters, and let the ids
    jump; whoever comes second finds nothing any more. Where nothing can be written, nothing is done.

    What dies between the jump and its commit does no harm: what is lost is told by the rows, never by a sequence.
    """
    found = session.execute(_LOOK).one()
    if found.here is None:
        return None
    if found.mark is None:
        session.execute(_FIRST)
    elif found.mark != found.here:
        return _restored(session, found.here)
    elif seen and found.now - found.seen_at >= SEEN:
        session.execute(_SEEN, {"here": found.here, "seen": SEEN})
    return None


def declare(session: Session) -> Found:
    """A person says that this database was restored, where nothing of Postgres' tells it: a snapshot of its disks."""
    session.execute(_FIRST)
    before = session.execute(_OWN).one()
    return _jumped(session, before, before.mark)


def watch(pool: Engine) -> None:
    """From now on each new connection of this pool looks where it is before anything else: a process that lives on while its
    database is replaced gives out no id of lost hours. That it was seen is for the pulse alone to write: of a snapshot that
    was brought back somebody still has to say so (`declare`), and the hours that it lost begin when the pulse saw it last."""
    event.listen(pool, "engine_connect", _arrived)


def _restored(session: Session, here: str) -> Found | None:
    before = session.execute(_LOCK, {"here": here}).one_or_none()
    return _jumped(session, before, here) if before else None


def _jumped(session: Session, before: Row[Any], here: str) -> Found:
    jumped = {row.name: row for row in session.execute(_JUMP, {"jump": JUMP})}
    values: dict[str, Any] = {
        "was": before.mark, "here": here, "seen_at": before.seen_at, "slack": SLACK,
        "next_message": jumped["message"].next, "next_handover": jumped["handover"].next,
    }  # fmt: skip
    session.execute(_FOUND, values)
    session.execute(_HOLD)
    session.execute(_MOVE, {"here": here})
    return Found(before.seen_at)


def _arrived(connection: Connection) -> None:
    """Once for each connection to the server; before the schema is there, there is nothing to look at."""
    if connection.info.setdefault("arrived", False):
        return
    connection.info["arrived"] = True
    with Session(connection) as session, session.begin():
        if session.scalar(_KNOWN):
            look(session, seen=False)
