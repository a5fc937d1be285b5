"""Looking for long silence, once a day, a stretch of contacts at a time, in turns that leave time for other chores.

A bookmark says how far that has come. Cut short by the end of its turn it goes on there at once, by a crash minutes later.
"""

from datetime import timedelta
from time import monotonic

import structlog
from sqlalchemy import text

from engine import bookmarks
from engine.bookmarks import Place
from engine.bootstrap import Deps
from engine.outreach import sunset

CHORE = "sunset"
TURN_SECONDS = 30.0  # other chores wait meanwhile
AGAIN = timedelta(minutes=5)

_WAS_DUE = text("SELECT due_at FROM chore WHERE name = :name")
_DUE = text("UPDATE chore SET due_at = now() + :span WHERE name = :name")
_DONE = text("UPDATE chore SET due_at = :due WHERE name = :name")

log = structlog.get_logger(__name__)


def look(deps: Deps, turn_seconds: float = TURN_SECONDS, stretch: int = sunset.STRETCH) -> None:
    """One turn: ask who was silent for too long whether she still wants letters, and rest who did not answer."""
    ends, rested = monotonic() + turn_seconds, 0
    with deps.work() as (session, _):
        tomorrow = session.scalar(_WAS_DUE, {"name": CHORE})
        session.execute(_DUE, {"name": CHORE, "span": AGAIN})  # should this process die
    going = True
    while going:
        going, some = _stretch(deps, stretch)
        rested += some
        if monotonic() > ends:
            break
    with deps.work() as (session, _):
        if going:
            session.execute(_DUE, {"name": CHORE, "span": timedelta()})
        else:
            session.execute(_DONE, {"name": CHORE, "due": tomorrow})
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
