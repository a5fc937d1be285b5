"""Campaigns, turn after turn: people enter those that begin, and leave those that were cancelled; what is through ends."""

import structlog

from engine.bootstrap import Deps
from engine.errors import Conflict
from engine.outreach import concluding, expanding, halting

log = structlog.get_logger(__name__)


def expand(deps: Deps) -> bool:
    """A campaign begins, or a stretch of people enters one. Whether there may be more."""
    try:
        with deps.work() as (session, now):
            happened, more = expanding.expand(session, now, deps.settings)
            everything = deps.react(session, happened, now)
    except Conflict as error:  # it was cancelled while they entered: none of them did
        log.info("a campaign's people did not enter", because=str(error))
        return True
    deps.ring_for(everything)
    return more


def clear(deps: Deps) -> bool:
    """People and queued letters leave a campaign that was cancelled. Whether there may be more."""
    with deps.work() as (session, now):
        happened, more = halting.clear(session, now)
        everything = deps.react(session, happened, now)
    deps.ring_for(everything)
    return more


def conclude(deps: Deps) -> bool:
    """Campaigns end whose people are through. Whether there may be more."""
    with deps.work() as (session, now):
        happened, more = concluding.conclude(session, now, deps.settings)
        everything = deps.react(session, happened, now)
    deps.ring_for(everything)
    return more
