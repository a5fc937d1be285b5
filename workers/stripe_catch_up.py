"""Catching up with Stripe: what its webhooks could not bring is fetched from its list, which reaches 30 days back.

The walk goes from now down to the bookmark `stripe` (everything before it is here), newest first, as Stripe lists. A
second bookmark, `stripe walk`, moves with each page in that page's transaction: a walk that was cut short, by a crash or by
the end of its turn, goes on where it stopped. Whatever happens meanwhile belongs to the next walk. Then comes what Stripe
itself calls undelivered. An event that is here already stays as it came.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from time import monotonic

import structlog

from engine import bell, bookmarks, inbox
from engine.bookmarks import Place
from engine.bootstrap import Deps
from engine.errors import Forbidden, Invalid, Unavailable
from engine.events import HumanNeeded
from engine.ports import Listed, Payments
from engine.sources import stripe
from engine.staff import notices
from workers import turns

CHORE = "stripe_catch_up"
SOURCE = "stripe"
WALK = "stripe walk"
FAILED = "Stripe catch-up failed"  # kind of notice

REACH = timedelta(days=30)
OVERLAP = timedelta(hours=1)  # an event may enter the list after younger ones

log = structlog.get_logger(__name__)


def catch_up(deps: Deps, turn_seconds: float = turns.SECONDS) -> None:
    """One turn: walk, then the undelivered. A failure tells a person; the next turn goes on from there."""
    if deps.payments is None:
        return
    ends = monotonic() + turn_seconds
    try:
        through = _walk(deps, deps.payments, ends) and _undelivered(deps, deps.payments, ends)
    except (Unavailable, Forbidden, Invalid) as error:
        log.warning("Stripe cannot be asked", reason=str(error))
        _tell(deps, str(error))
        return
    with deps.work() as (session, _):
        notices.resolve(session, FAILED)
        if not through:
            turns.again(session, CHORE)


def _walk(deps: Deps, payments: Payments, ends: float) -> bool:
    """Down to the bookmark. Returns whether it got there."""
    with deps.work() as (session, now):
        known, begun = bookmarks.find(session, SOURCE), bookmarks.find(session, WALK)
    since = known.at - OVERLAP if known and known.at else now - REACH
    newest = datetime.fromtimestamp(begun.number, UTC) if begun else None
    for page in payments.events(since=since, until=begun.at if begun else None):
        newest = newest or page[0].at
        _keep(deps, page, Place(page[-1].at, int(newest.timestamp())))
        if monotonic() > ends:
            return False
    with deps.work() as (session, _):
        bookmarks.take_out(session, WALK)
        if newest:
            bookmarks.put(session, SOURCE, Place(newest))
    return True


def _undelivered(deps: Deps, payments: Payments, ends: float) -> bool:
    """What Stripe could not hand over: the walk has met it, unless it was listed late."""
    with deps.work() as (_, now):
        since = now - REACH
    for page in payments.events(since=since, undelivered=True):
        _keep(deps, page, None)
        if monotonic() > ends:
            break
    return True


def _keep(deps: Deps, page: Sequence[Listed], reached: Place | None) -> None:
    """Store what says something to us, each once; what nobody acts on would only fill the inbox."""
    expected = not deps.settings.development
    arrivals = [
        (event.key, "" if event.live in (None, expected) else stripe.OTHER_MODE, event.body)
        for event in page
        if stripe.acted_on(event.type)
    ]
    with deps.work() as (session, _):
        new = inbox.store(session, SOURCE, bell.INTAKE, arrivals)
        if reached:
            bookmarks.put(session, WALK, reached)
    if new:
        deps.bells.ring(bell.INTAKE)
        log.info("events fetched from Stripe", listed=len(page), new=new)


def _tell(deps: Deps, reason: str) -> None:
    with deps.work() as (session, now):
        everything = deps.react(session, [HumanNeeded(None, FAILED, SOURCE, reason)], now)
    deps.ring_for(everything)
