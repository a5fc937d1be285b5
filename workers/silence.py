"""Looking for long silence, once a day, a stretch of contacts at a time, in turns that leave time for other chores.

A bookmark says how far that has come. Cut short by the end of its turn it goes on there at once, by a crash minutes later.
"""

from time import monotonic

import structlog

from engine import bookmarks
from engine.bookmarks import Place
from engine.bootstrap import Deps
from engine.outreach import sunset
from workers import turns

CHORE = "sunset"

log = structlog.get_logger(__name__)


def look(deps: Deps, turn_seconds: float = turns.SECONDS, stretch: int = sunset.STRETCH) -> None:
    """One turn: ask who was silent for too long whether she still wants letters, and rest who did not answer."""
    ends, rested = monotonic() + turn_seconds, 0
    with deps.work() as (session, _):
        tomorrow = turns.begin(session, CHORE)
    going = True
    while going:
        going, some = _stretch(deps, stretch)
        rested += some
        if monotonic() > ends:
            break
    with deps.work() as (session, _):
        if going:
            turns.again(session, CHORE)
        else:
            turns.done(session, CHORE, tomorrow)
    if rested:
        log.info("people rest after long silence", count=rested)


def _stretch(deps: Deps, most: int) -> tuple[bool, int]:
    """The stretch at the bookmark, which moves on with it. Returns whether there are more, and how many rest."""
    with deps.work() as (session, now):
        begun = bookmarks.find(session, CHORE)
        happened, rested, upto = sunset.look(session, begun.number if begun else 0, now, deps.settings, most)
        everything = deps.react(session, happened, now)
        if upto is None:
            bookmarks.take_out(session, CHORE)
        else:
            bookmarks.put(session, CHORE, Place(number=upto))
    deps.ring_for(everything)
    return upto is not None, rested
