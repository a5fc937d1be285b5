"""Draining the inbox: claim, parse, react, finish; one commit a batch. The lanes `intake` and `feedback` share this."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic

import structlog

from engine import inbox, metrics, sources
from engine.bootstrap import Deps
from engine.errors import Invalid
from engine.events import Event, HumanNeeded, RawEvent
from engine.inbox import Verdict
from engine.sources.words import Ignored, Split

TURN_SECONDS = 2.0  # how long one bell keeps a thread busy before it rings again

log = structlog.get_logger(__name__)


def drain(deps: Deps, lane: str) -> None:
    """Answer the bell of an inbox lane: batch after batch, until nothing is due or the turn is over."""
    give_up(deps, lane)
    until = monotonic() + TURN_SECONDS
    tried_first = False
    while claimed := inbox.claim(deps.sessions, lane, tried_first=tried_first):
        deps.bells.ring(lane)  # there may be more than this batch: wake another thread
        tried_first = not tried_first  # in turn, so that neither waits behind the other
        with claimed:
            apply(deps, claimed)
        if monotonic() > until:
            break


def apply(deps: Deps, claimed: inbox.Claim) -> None:
    """Apply one claim in one transaction; whatever fails puts its events back, each to be tried alone."""
    with inbox.loaded(claimed) as (session, raw):
        now = deps.clock.read(session)
        read = _read(raw, inbox.first_bodies(session, raw))
        everything = deps.react(session, read.told, now)
        inbox.split(session, read.parts)
        verdicts = read.verdicts + _verdicts(raw, read, everything)
        inbox.finish(session, verdicts)
    deps.ring_for(everything)
    sources_of = {event.id: event.source for event in raw}
    for verdict in verdicts:
        metrics.EVENTS.labels(sources_of[verdict.id], verdict.state).inc()
        log.info("event finished", inbound_event=verdict.id, state=verdict.state, reason=verdict.reason)


def give_up(deps: Deps, lane: str) -> None:
    """Quarantine what was tried too often and tell a person."""
    with deps.work() as (session, now):
        needs: list[Event] = [*inbox.give_up(session, lane)]
        everything = deps.react(session, needs, now)
    deps.ring_for(everything)


@dataclass(slots=True)
class _Read:
    """What a batch of bodies says: events, parts to be stored, and the verdicts on those that say nothing to us."""

    told: list[Event] = field(default_factory=list)
    parts: dict[int, Sequence[bytes]] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)


def _read(raw: Sequence[RawEvent], first: Mapping[int, bytes]) -> _Read:
    read = _Read()
    for event in raw:
        try:
            same = event.id in first and sources.same(event, first[event.id])
            said = Ignored("told before") if same else sources.parse(event)
        except Invalid as error:
            read.verdicts.append(Verdict(event.id, "quarantined", str(error)))
            read.told.append(inbox.needs_a_person(event.id, event.source, str(error)))
            continue
        if isinstance(said, Ignored):
            read.verdicts.append(Verdict(event.id, "ignored", said.reason))
            if said.tell:
                read.told.append(HumanNeeded(event.id, inbox.UNEXPECTED, f"from {event.source}", said.reason))
        elif isinstance(said, Split):
            read.parts[event.id] = said.bodies
            read.verdicts.append(Verdict(event.id, "split", f"{len(said.bodies)} parts"))
        else:
            read.told += said
    return read


def _verdicts(raw: Sequence[RawEvent], read: _Read, everything: Sequence[Event]) -> list[Verdict]:
    """On the rest: applied, with what it put on record in a word each; or told before, when it changed nothing."""
    words: dict[int, set[str]] = {}
    idle: dict[int, str] = {}
    for happened in everything:
        if happened.cause is not None and happened.idle:
            idle[happened.cause] = happened.word
        elif happened.cause is not None and happened.word:
            words.setdefault(happened.cause, set()).add(happened.word)
    decided = {verdict.id for verdict in read.verdicts}
    return [
        Verdict(event.id, "applied", ", ".join(sorted(words[event.id])))
        if event.id in words
        else Verdict(event.id, "ignored", idle.get(event.id, "told before"))
        for event in raw
        if event.id not in decided
    ]
