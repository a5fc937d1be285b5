"""Letting people into the sequences that open once a day, a stretch of contacts at a time, in turns that leave time for other
chores. A bookmark says how far that has come: cut short it goes on there, and nobody enters twice.
"""

from time import monotonic

from engine import bookmarks
from engine.bookmarks import Place
from engine.bootstrap import Deps
from engine.outreach import enrolling
from workers import turns

CHORE = "entrances"


def look(deps: Deps, turn_seconds: float = turns.SECONDS, stretch: int = enrolling.STRETCH) -> None:
    """One turn: everybody whom the rule of such a sequence chooses today."""
    ends = monotonic() + turn_seconds
    with deps.work() as (session, _):
        tomorrow = turns.begin(session, CHORE)
    going = True
    while going:
        going = _stretch(deps, stretch)
        if monotonic() > ends:
            break
    with deps.work() as (session, _):
        if going:
            turns.again(session, CHORE)
        else:
            turns.done(session, CHORE, tomorrow)


def _stretch(deps: Deps, most: int) -> bool:
    """The stretch at the bookmark, which moves on with it. Returns whether there are more."""
    with deps.work() as (session, now):
        begun = bookmarks.find(session, CHORE)
        happened, upto = enrolling.look(session, begun.number if begun else 0, now, most)
        everything = deps.react(session, happened, now)
        if upto is None:
            bookmarks.take_out(session, CHORE)
        else:
            bookmarks.put(session, CHORE, Place(number=upto))
    deps.ring_for(everything)
    return upto is not None
