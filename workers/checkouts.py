"""Checkouts: those whose page is over end, and so do the pages of a form that is closed over declined cards.

The processor is asked for each page with no transaction open. Where it does not answer the next turn goes on, in a minute.
"""

from datetime import timedelta
from time import monotonic
from typing import Any

import structlog
from sqlalchemy import Row

from engine.bootstrap import Deps
from engine.errors import Forbidden, Invalid, NotFound, Unavailable
from engine.events import HumanNeeded
from engine.giving import checkout_ends
from engine.ports import Payments
from engine.staff import notices
from workers import turns

CHORE = checkout_ends.CHORE
MOST = 100  # pages in one turn
SOON = timedelta(minutes=1)
STAY_OPEN = "payment pages stay open"  # the kind of notice

log = structlog.get_logger(__name__)


def end(deps: Deps) -> None:
    """End checkouts whose page is over, empty what was typed for those that nobody paid, and forget what ended long ago; then
    end pages that must not be paid on."""
    with deps.work() as (session, now):
        checkout_ends.expire(session, now)
    more = True
    while more:
        with deps.work() as (session, now):
            more = checkout_ends.forget_old(session, now)
    if deps.payments is not None:
        _close(deps, deps.payments)


def _close(deps: Deps, payments: Payments) -> None:
    ends = monotonic() + turns.SECONDS
    with deps.work() as (session, now):
        pages = checkout_ends.still_open(session, now, MOST)
    for page in pages:
        if not _closed(deps, payments, page):
            return
        if monotonic() > ends:
            break
    if pages:
        log.info("payment pages of closed forms ended")
        with deps.work() as (session, _):
            notices.resolve(session, STAY_OPEN)
            turns.again(session, CHORE)  # there may be more


def _closed(deps: Deps, payments: Payments, page: Row[Any]) -> bool:
    """End one page. Returns whether the processor could be asked."""
    try:
        payments.expire_checkout(page.session_key, account=page.account)
    except Unavailable as error:
        log.warning("a payment page could not be ended", checkout=page.id, error=str(error))
        with deps.work() as (session, _):
            turns.again(session, CHORE, SOON)
        return False
    except Forbidden as error:
        _tell(deps, str(error))
        return False
    except (Invalid, NotFound) as error:
        log.warning("a payment page cannot be ended", checkout=page.id, error=str(error))
    with deps.work() as (session, _):
        checkout_ends.closed(session, page.id)
    return True


def _tell(deps: Deps, why: str) -> None:
    said = f"{why}: it needs to write Checkout Sessions. Pages that were open before can be paid on for an hour"
    with deps.work() as (session, now):
        everything = deps.react(session, [HumanNeeded(None, STAY_OPEN, "forms closed over declined cards", said)], now)
    deps.ring_for(everything)
