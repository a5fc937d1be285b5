"""Summing up what people allow, a stretch at a time, in turns that leave time for other chores."""

from time import monotonic

from engine.bootstrap import Deps
from engine.people import leave
from workers import turns

CHORE = "leave"


def look(deps: Deps, turn_seconds: float = turns.SECONDS, stretch: int = leave.STRETCH) -> None:
    """One turn; the next one is due at once when there was more."""
    ends = monotonic() + turn_seconds
    with deps.work() as (session, _):
        later = turns.begin(session, CHORE)
    more = True
    while more and monotonic() < ends:
        with deps.work() as (session, _):
            _, more = leave.sum_up(session, stretch)
    with deps.work() as (session, _):
        if more:
            turns.again(session, CHORE)
        else:
            turns.done(session, CHORE, later)
