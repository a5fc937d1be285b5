"""Outreach: campaigns are expanded, people take their next steps; turn after turn, each a transaction of its own."""

from collections.abc import Callable
from time import monotonic

from engine import bell
from engine.bootstrap import Deps
from engine.outreach import stepping
from workers import campaigns

TURN_SECONDS = 2.0


def work(deps: Deps) -> None:
    """Answer the bell: until nothing is due or the turn is over."""
    until = monotonic() + TURN_SECONDS
    more = True
    while more and monotonic() < until:
        more = False
        for turn in TURNS:
            more = turn(deps) or more
    if more:
        deps.bells.ring(bell.OUTREACH)


def step(deps: Deps) -> bool:
    """A batch of people take the steps that are due. Whether there may be more."""
    with deps.work() as (session, now):
        happened, more = stepping.step(session, now, deps.settings)
        everything = deps.react(session, happened, now)
    deps.ring_for(everything)
    return more


# Each does one bounded piece of work and says whether there may be more.
TURNS: tuple[Callable[[Deps], bool], ...] = (campaigns.expand, step, campaigns.clear, campaigns.conclude)
