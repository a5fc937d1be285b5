"""Driving one handler: once undisturbed, which numbers its side effects, then once for each of them and each fault there.

Each run has people of its own. After it everything runs that runs by itself, and what it left behind must be what the
undisturbed run left. When all are through, days pass, and what always holds must hold.
"""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import psycopg
from sqlalchemy.exc import DBAPIError

from engine.errors import GroundswellError
from tests.asgi import Answer
from tests.crash import recovery
from tests.crash.effects import Effects, between, everything, without
from tests.crash.faults import FAULTS, Died, Fault
from tests.crash.processes import House, Process

Act = Callable[[Process], object]
TWO = (Fault.TWICE, Fault.BESIDE)
_numbers = count(1)


@dataclass(frozen=True)
class Story:
    """One handler with something to do. `tell` prepares a run with people called by its tag, and returns what a process then
    does. `covers`: the actors, chores, routes and commands that it drives. `loose`: tables and columns that may differ.
    `sender`: whoever asked comes again until she has an answer; `looks`: only if she sees that nothing was done. `alone`: a
    second press is a second act. `deep`: days pass after each run. `chore`: it is due once more after each.
    `faults`: only these, where each run takes long."""

    name: str
    covers: tuple[str, ...]
    tell: Callable[[House, str], Act]
    begin: Callable[[House], None] = lambda _: None
    loose: tuple[str, ...] = ()
    sender: bool = False
    looks: bool = False
    alone: bool = False
    deep: bool = False
    chore: str = ""
    faults: Collection[Fault] = tuple(Fault)
    settings: Mapping[str, Any] = field(default_factory=dict)


def drive(house: House, story: Story, faults: Collection[Fault]) -> list[str]:
    """All runs of it; what was wrong with each."""
    story.begin(house)
    recovery.settle(house)
    _run(house, story)  # what is done once for all is done
    expected = _run(house, story)
    boundaries = list(house.first.probe.seen)
    assert boundaries, f"{story.name}: it has no side effect"
    wrong = []
    for place, kind in enumerate(boundaries):
        for fault in FAULTS[kind]:
            if fault in faults and fault in story.faults and not (story.alone and fault in TWO):
                found = _run(house, story, place, fault)
                if told := _differs(expected, found, story.loose):
                    wrong.append(f"{story.name}, {kind} {place} of {len(boundaries)}, {fault}: {told}")
    recovery.chores(house)
    recovery.days(house)
    recovery.invariants(house)
    return wrong


def _run(house: House, story: Story, place: int = -1, fault: Fault = Fault.NONE) -> Effects:
    """One run, with this fault at that boundary, and recovery."""
    house.world.limits.counts.clear()
    act = story.tell(house, f"run{next(_numbers):04}x")
    before = everything(house)
    first = house.first
    first.probe.begin(place, fault, other=lambda: _done(act(house.second)))
    well = _tried(act, first, fault)
    reached = list(first.probe.seen)
    assert len(reached) > place, f"{story.name}: boundary {place} was never reached: {reached}"
    first.probe.finish()
    first.revived()
    if story.sender and not well and not (story.looks and everything(house) != before):
        assert _done(act(first)), "it is not answered when nothing is wrong any more"
    if story.chore:
        recovery.due(house, story.chore)
    recovery.settle(house)
    if story.deep:
        recovery.days(house)
    found = between(before, everything(house))
    first.probe.begin()
    first.probe.seen = reached
    return found


def _tried(act: Act, process: Process, fault: Fault) -> bool:
    try:
        return _done(act(process))
    except Died:
        return False
    except (DBAPIError, psycopg.Error, GroundswellError):
        if fault not in (Fault.ERROR, Fault.TIMEOUT, Fault.SILENCE):
            raise
        return False


def _done(answer: object) -> bool:
    """Whether a request was answered; a worker's turn always is."""
    return not isinstance(answer, Answer) or answer.status < 500


def _differs(expected: Effects, found: Effects, loose: tuple[str, ...]) -> str:
    one, other = without(expected, *loose), without(found, *loose)
    if one == other:
        return ""
    missing, more = ([f"{table} {_plain(row)}" for table, row in each] for each in (one - other, other - one))
    return f"missing {missing}; more {more}"


def _plain(row: str) -> str:
    return ", ".join(f"{name}={value}" for name, value in json.loads(row).items() if value not in (True, False, "", 0))
