"""Outreach: campaigns are expanded, people take their next steps; turn after turn, each a transaction of its own."""

from collections.abc import Callable, Sequence
from time import monotonic

from engine import bell
from engine.bootstrap import Deps
from engine.outreach import stepping
from workers import campaigns

TURN_SECONDS = 2.0

Turn = Callable[[Deps], bool]


def work(deps: Deps) -> None:
    """Answer the bell: until nothing is due or the turn is over."""
    until = monotonic() + TURN_SECONDS
    more = True
    while more and monotonic() < until:
        more = _each(deps, TURNS)
    if more:
        deps.bells.ring(bell.OUTREACH)


def _each(deps: Deps, turns: Sequence[Turn]) -> bool:
    """A turn for each of them, whatever becomes of those before it: one that fails does so when all had theirs. Whether there
    may be more."""
    if not turns:
        return False
    try:
        more = turns[0](deps)
    finally:
        others = _each(deps, turns[1:])
    return more or others


def step(deps: Deps) -> bool:
    """A batch of people take the steps that are due. Whether there may be more."""
    with deps.work() as (session, now):
        happened, more = stepping.step(session, now, deps.settings)
        everything = deps.react(session, happened, now)
    deps.ring_for(everything)
    return more


# Each does one bounded piece of work and says whether there may be more.
TURNS: tuple[Turn, ...] = (campaigns.expand, step, campaigns.clear, campaigns.conclude)
