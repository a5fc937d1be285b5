"""The pulse: each second it rings for every kind of due row, sweeps expired leases and minds the schedule.

Several may run: a Postgres advisory lock picks the leader. It never waits for Redis: ringing is a background thread's.
"""

import signal
import threading
from collections.abc import Callable
from datetime import timedelta
from time import time

import structlog
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from engine import metrics, vitals
from engine.bootstrap import Deps, start
from engine.mail import handovers, sending
from engine.outreach import concluding, expanding, halting, stepping

TICK_SECONDS = 1.0
LEADER_LOCK = 0x67726E64  # "grnd"

# Chores by name and how often; what each does stands in workers/upkeep.py.
SCHEDULE: dict[str, timedelta] = {
    "books": timedelta(days=1),
    "bodies": timedelta(days=1),
    "api_requests": timedelta(days=1),
    "events": timedelta(days=1),
    "archive": timedelta(days=1),
    "unconfirmed": timedelta(days=1),
    "stripe_catch_up": timedelta(hours=1),
    "fraud_refunds": timedelta(minutes=5),
    "refund_orders": timedelta(minutes=1),
    "territories": timedelta(seconds=10),
    "sparks": timedelta(minutes=5),
    "suppressions": timedelta(days=1),
    "snapshots": timedelta(days=1),
    "hearing": timedelta(minutes=10),
    "checkouts": timedelta(minutes=10),
    "forms": timedelta(hours=1),
    "leave": timedelta(minutes=5),
    "entrances": timedelta(days=1),
}

_LEAD = text("SELECT pg_try_advisory_lock(:lock)")
# What takes rows out of the way of code that knows where they went waits until no older code works beside this.
LATER = ("events", "archive")
_PLAN = text("""
INSERT INTO chore (name, due_at)
SELECT name, now() + CASE WHEN name = ANY(:later) THEN interval '1 day' ELSE interval '0' END
FROM unnest(CAST(:names AS text[])) AS v(name) ON CONFLICT DO NOTHING
""")
_STRANGERS = text("DELETE FROM chore WHERE name <> ALL(:names)")
_DUE = text(f"""
SELECT DISTINCT lane FROM (VALUES ('intake'), ('feedback')) v(lane)
    WHERE EXISTS (SELECT FROM inbound_event e WHERE e.state = 'pending' AND e.lane = v.lane AND e.due_at <= now())
UNION ALL
SELECT 'receipts' WHERE EXISTS (SELECT FROM message WHERE state = 'ready' AND lane = 'receipts' AND due_at <= :now)
UNION ALL
SELECT 'delivery' WHERE EXISTS (SELECT FROM message WHERE state = 'ready' AND lane = 'delivery' AND due_at <= :now)
UNION ALL
SELECT 'outreach' WHERE EXISTS (WITH {stepping.LINES} SELECT FROM due)
UNION ALL
SELECT 'upkeep' WHERE EXISTS (SELECT FROM chore WHERE due_at <= now())
    OR EXISTS (SELECT FROM handover WHERE state = 'uncertain' AND due_at <= now())
UNION ALL
SELECT 'outreach' WHERE EXISTS (SELECT FROM campaign k WHERE {expanding.DUE} OR {concluding.DUE} OR {halting.CLEARING})
""")

log = structlog.get_logger(__name__)


def beat(deps: Deps) -> set[str]:
    """One tick: see what is due, ring, sweep, see where the database is. Returns the bells rung."""
    with deps.work() as (session, now):
        due = set(session.scalars(_DUE, {"now": now}))
    deps.bells.ring(*sorted(due))
    with deps.work() as (session, now):
        expired = handovers.expire(session)
        if told := sending.look(session):
            log.error("no letter leaves: this database was restored", advice=sending.ADVICE)
            deps.react(session, told, now)
    if expired:
        log.warning("handovers outlived their lease", count=expired)
    return due


def plan(session: Session) -> None:
    """Make the rows of chores that are new to the schedule; due at once, or LATER. Those that left it would be late for
    ever."""
    session.execute(_PLAN, {"names": list(SCHEDULE), "later": list(LATER)})
    session.execute(_STRANGERS, {"names": list(SCHEDULE)})


def run(deps: Deps, wait: Callable[[float], bool]) -> None:
    """Beat until `wait(seconds)` says to stop. Without Postgres it keeps trying: nothing to ring for meanwhile."""
    while not wait(0):
        try:
            _lead(deps, wait)
        except SQLAlchemyError as error:
            log.warning("the pulse lost Postgres", error=type(error).__name__)
            wait(TICK_SECONDS)


def main() -> None:
    """The pulse as a process."""
    ending = threading.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda *_: ending.set())
    deps = start("pulse")
    if deps.settings.metrics_port:
        vital = vitals.Vitals(deps.work, deps.bells.reachable)
        metrics.serve(deps.settings.metrics_host, deps.settings.metrics_port, metrics.Pool(deps.sessions), vital)
    run(deps, ending.wait)
    deps.bells.close()


def _lead(deps: Deps, wait: Callable[[float], bool]) -> None:
    with deps.sessions() as session:
        leader = session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
        while not _leads(leader):
            if wait(TICK_SECONDS):
                return
        log.info("this pulse leads")
        with deps.work() as (planning, _):
            plan(planning)
        while not wait(TICK_SECONDS):
            leader.execute(text("SELECT 1"))  # raises once the connection, and with it the lock, is gone
            beat(deps)
            metrics.BEAT.set(time())


def _leads(connection: Connection) -> bool:
    return bool(connection.scalar(_LEAD, {"lock": LEADER_LOCK}))


if __name__ == "__main__":
    main()
