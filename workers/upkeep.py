"""Chores: what the schedule asks for, and settling what a crash left open."""

from collections.abc import Callable, Mapping
from datetime import timedelta

import structlog
from sqlalchemy import text

from engine import inbox, metrics
from engine.bootstrap import Deps
from engine.db import transaction
from engine.events import HumanNeeded
from engine.giving import books, form_shelf, keeping
from engine.mail import hearing
from engine.people import sparks, territories, unconfirmed
from engine.staff import api_requests, notices
from workers import (
    checkouts,
    delivery,
    entrances,
    fraud_refunds,
    leave,
    long_over,
    refund_orders,
    stripe_catch_up,
    suppressions,
)

BOOKS, BODIES, FORMS, UNCONFIRMED = "books", "bodies", "forms", "unconfirmed"
TERRITORIES, SPARKS, SNAPSHOTS = "territories", "sparks", "snapshots"
HEARING, API_REQUESTS = "hearing", "api_requests"

# Until a chore whose process died, or that failed, is tried again: twice as long each time.
AGAIN, AT_MOST = timedelta(minutes=5), timedelta(hours=1)
MANY, FAILS = 3, "chore fails"  # so often in a row, and a person is told: a kind of notice

_CLAIM = text("""
UPDATE chore SET tries = tries + 1,
    due_at = now() + least(CAST(:every AS interval), CAST(:again AS interval) * power(2, least(tries, 10)), :at_most)
WHERE name = :name AND due_at <= now() RETURNING due_at, tries - 1 AS failed
""")
# Who made it due again meanwhile wants it again.
_DONE = text("""
UPDATE chore SET due_at = CASE due_at WHEN :claimed THEN now() + CAST(:every AS interval) ELSE due_at END,
    tries = 0, finished_at = now() WHERE name = :name
""")

log = structlog.get_logger(__name__)


def run(deps: Deps, schedule: Mapping[str, timedelta]) -> None:
    """Answer the bell: settle what is uncertain, then do each chore that is due."""
    delivery.settle(deps)
    for name, every in schedule.items():
        values = {"name": name, "every": every}
        with transaction(deps.sessions) as session:
            claimed = session.execute(_CLAIM, values | {"again": AGAIN, "at_most": AT_MOST}).one_or_none()
        if claimed:
            if claimed.failed >= MANY:
                _tell(deps, name, claimed.failed)
            _do(deps, name)
            with transaction(deps.sessions) as session:
                session.execute(_DONE, values | {"claimed": claimed.due_at})
                notices.resolve(session, FAILS, [name])


def _tell(deps: Deps, name: str, failed: int) -> None:
    said = f"{failed} times in a row: the log of the workers of the group outreach says why"
    with deps.work() as (session, now):
        everything = deps.react(session, [HumanNeeded(None, FAILS, name, said)], now)
    deps.ring_for(everything)


def _do(deps: Deps, name: str) -> None:
    outcome = "failed"
    metrics.CHORES.labels(name, outcome)  # from nought on: who watches sees the first
    try:
        CHORES[name](deps)
        outcome = "done"
    finally:
        metrics.CHORES.labels(name, outcome).inc()


def check_books(deps: Deps) -> None:
    """Prove the books; tell a person of every rule that does not hold."""
    with deps.work() as (session, now):
        proof = books.check(session)
        needs = [
            HumanNeeded(None, "books do not agree", d.rule, f"{d.subject}: {d.detail}") for d in proof.discrepancies
        ]
        if not needs:
            notices.resolve(session, "books do not agree")
        everything = deps.react(session, list(needs), now)
    deps.ring_for(everything)
    log.info("books checked", contributions=proof.contributions, discrepancies=len(proof.discrepancies))


def empty_bodies(deps: Deps) -> None:
    """Empty raw bodies that were kept long enough, a stretch at a time."""
    more, emptied = True, 0
    while more:
        with transaction(deps.sessions) as session:
            some, more = inbox.empty_old(session, deps.settings.raw_body_days)
        emptied += some
    log.info("old bodies emptied", count=emptied)


def forget_api_requests(deps: Deps) -> None:
    """Forget what was answered to programs' requests with a key, once nobody can send them again, a stretch at a time."""
    more, forgotten = True, 0
    while more:
        with deps.work() as (session, now):
            some, more = api_requests.forget(session, now)
        forgotten += some
    log.info("old answers to programs forgotten", count=forgotten)


def look_at_forms(deps: Deps) -> None:
    """See whether every published donation form can be shown."""
    with deps.work() as (session, now):
        everything = deps.react(session, form_shelf.look(session, now), now)
    deps.ring_for(everything)


def apply_territories(deps: Deps) -> None:
    """Apply the changes of territories that the root has approved."""
    if moved := territories.apply(deps.work):
        log.info("people moved to other chapters", count=moved)


def look_for_sparks(deps: Deps) -> None:
    """See where a chapter could begin."""
    with deps.work() as (session, now):
        everything = deps.react(session, sparks.look(session, now, deps.settings), now)
    deps.ring_for(everything)


def forget_unconfirmed(deps: Deps) -> None:
    """Forget people who never answered our question, a stretch at a time."""
    more, forgotten = True, 0
    while more:
        with deps.work() as (session, now):
            some, more = unconfirmed.forget(session, now)
        forgotten += some
    log.info("unconfirmed people forgotten", count=forgotten)


def expire_snapshots(deps: Deps) -> None:
    """Empty the treasurer's record of people who were erased, where the law asks for it no longer."""
    with deps.work() as (session, now):
        expired = keeping.expire_snapshots(session, now)
    if expired:
        log.info("snapshots of erased donors emptied", count=expired)


def listen(deps: Deps) -> None:
    """See whether the mail provider tells us what becomes of letters, where letters leave at all."""
    if deps.settings.development:
        return
    with deps.work() as (session, now):
        everything = deps.react(session, hearing.look(session, now), now)
    deps.ring_for(everything)


CHORES: dict[str, Callable[[Deps], None]] = {
    BOOKS: check_books,
    BODIES: empty_bodies,
    FORMS: look_at_forms,
    TERRITORIES: apply_territories,
    SPARKS: look_for_sparks,
    UNCONFIRMED: forget_unconfirmed,
    SNAPSHOTS: expire_snapshots,
    HEARING: listen,
    API_REQUESTS: forget_api_requests,
    long_over.EVENTS: long_over.forget_events,
    long_over.ARCHIVE: long_over.put_away,
    checkouts.CHORE: checkouts.end,
    leave.CHORE: leave.look,
    entrances.CHORE: entrances.look,
    suppressions.CHORE: suppressions.compare,
    stripe_catch_up.CHORE: stripe_catch_up.catch_up,
    fraud_refunds.CHORE: fraud_refunds.refund,
    refund_orders.CHORE: refund_orders.refund,
}
