"""Postgres: whether it answers, its version, its schema, its size, its clock; and the disk that is this machine's own."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from shutil import disk_usage

import psycopg
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from engine.doctor.findings import Finding, ok, size, warning, wrong

DATABASE, ROLE, ARCHIVE, SCHEMA, CLOCK, DISK = "Postgres", "role", "archive of WAL", "schema", "clock", "disk"
OLDEST = 18
LATE_MS, WRONG_MS = 1000.0, 5000.0
LEAST_FREE = 1024**3
LOW_PERCENT = 10

_ABOUT = text("""
SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int / 10000 AS major,
    pg_database_size(current_database()) AS bytes, pg_is_in_recovery() AS standby,
    (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS superuser, current_user AS role
""")
_ARCHIVE = text("""
SELECT coalesce(a.last_failed_time > coalesce(a.last_archived_time, '-infinity'), false) AS failing,
    a.last_archived_time IS NOT NULL AS archives,
    (SELECT count(*) FROM pg_replication_slots WHERE active) AS held,
    (SELECT count(*) FROM pg_replication_slots WHERE NOT active) AS left_alone
FROM pg_stat_archiver a
""")
_CLOCK = text("SELECT clock_timestamp()")


def away(error: OperationalError) -> Finding:
    """Nobody answers there, or nobody lets us in; or what was asked took longer than anything may."""
    if isinstance(error.orig, psycopg.errors.QueryCanceled):
        advice = (
            "Look at what it is busy with (pg_stat_activity) and whether its machine is large enough, then ask again."
        )
        return wrong(DATABASE, "it takes too long to count what is due", advice)
    advice = "Start it, or look at DATABASE_URL. On one machine: does `groundswell up` run on this data folder?"
    return wrong(DATABASE, "it does not answer", advice)


def of_server(session: Session) -> Finding:
    """Its version and size, and whether it takes what is written."""
    found = session.execute(_ABOUT).one()
    return judged(found.version, found.major, found.bytes, standby=found.standby)


def judged(version: str, major: int, number: int, *, standby: bool) -> Finding:
    """What that says."""
    seen = f"{version}, with {size(number)} of ours"
    if standby:
        return wrong(
            DATABASE, f"{seen}; it is a standby", "Point DATABASE_URL at the primary: nothing can be written here."
        )
    if major < OLDEST:
        return wrong(
            DATABASE, f"{seen}; {OLDEST} is needed", f"Move to Postgres {OLDEST} or newer: others are not tried."
        )
    return ok(DATABASE, seen)


def of_role(session: Session) -> Finding:
    """By whom production works there: whoever gets in by its address should get no more than our own database."""
    found = session.execute(_ABOUT).one()
    if found.superuser:
        advice = "Name a role in DATABASE_URL that owns the database and is no superuser: docs/deploying.md says how."
        return warning(ROLE, f"{found.role} is a superuser of Postgres", advice)
    return ok(ROLE, f"{found.role} is no superuser")


def of_archive(session: Session) -> Finding:
    """Whether what was committed is copied away, as far as Postgres knows: by `archive_command`, or by who reads a slot."""
    found = session.execute(_ARCHIVE).one()
    return archived(failing=found.failing, archives=found.archives, held=found.held, left_alone=found.left_alone)


def archived(*, failing: bool, archives: bool, held: int, left_alone: int) -> Finding:
    """What that says. Managed servers archive out of sight, so that nothing is no fault."""
    if failing:
        advice = (
            "The log of Postgres says why. Its disk fills until it works again: docs/watching.md, When a disk is full."
        )
        return warning(ARCHIVE, "archive_command fails: no backup has what happens now", advice)
    if left_alone:
        advice = "Start who reads it (pg_receivewal), or drop the slot: WAL is kept for it until the disk is full."
        return warning(ARCHIVE, f"{left_alone} replication slot(s) that nobody reads", advice)
    if archives or held:
        return ok(ARCHIVE, "it is copied away as it is written")
    return ok(ARCHIVE, "Postgres knows of none: see that backups are made where it runs (docs/backups.md)")


def of_schema(at: str | None, head: str) -> Finding:
    """Whether the database is as this code needs it."""
    if at == head:
        return ok(SCHEMA, f"at {head}")
    return wrong(SCHEMA, f"at {at or 'nothing'}, this code needs {head}", "Run `groundswell migrate`.")


def of_clock(session: Session, host: Callable[[], datetime]) -> Finding:
    """The difference between this machine's clock and Postgres', measured in the middle of a question."""
    before = host()
    there: datetime = session.execute(_CLOCK).scalar_one()
    after = host()
    return apart((there - (before + (after - before) / 2)).total_seconds() * 1000)


def apart(milliseconds: float) -> Finding:
    """What such a difference means. `milliseconds`: how far Postgres is ahead of this machine."""
    which = "ahead of" if milliseconds >= 0 else "behind"
    seen = f"Postgres' is {abs(milliseconds):,.0f} ms {which} this machine's"
    advice = "Have both machines keep their clocks by NTP: signatures, links and bells go by this machine's."
    if abs(milliseconds) > WRONG_MS:
        return wrong(CLOCK, seen, advice)
    if abs(milliseconds) > LATE_MS:
        return warning(CLOCK, seen, advice)
    return ok(CLOCK, seen)


def of_disk(data_dir: Path) -> Finding:
    """The disk of the data folder, if that is on this machine."""
    if not data_dir.exists():
        return ok(DISK, "no data folder on this machine: look at the disks of Postgres and Redis where they are")
    usage = disk_usage(data_dir)
    return room(usage.free, usage.total)


def room(free: int, total: int) -> Finding:
    """What so many free bytes mean."""
    seen = f"{size(free)} free of {size(total)} where the data folder is"
    if free < LEAST_FREE:
        return wrong(DISK, seen, "Make room now: when it is full, nothing that comes in can be kept.")
    if free * 100 < total * LOW_PERCENT:
        return warning(DISK, seen, "Make room, or move to a larger disk, before it is full.")
    return ok(DISK, seen)
