"""Draining the inbox: claim, parse, react, finish; one commit a batch. The lanes `intake` and `feedback` share this."""

from time import monotonic

import structlog

from engine import inbox, sources
from engine.bootstrap import Deps
from engine.errors import Invalid
from engine.events import ContributionRecorded, Event
from engine.inbox import RawEvent, Verdict
from engine.sources.words import Ignored

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
        reported, verdicts = _parse(raw)
        everything = deps.react(session, reported, now)
        recorded = {event.cause for event in everything if isinstance(event, ContributionRecorded)}
        decided = {verdict.id for verdict in verdicts}
        verdicts += [_verdict(event, recorded) for event in raw if event.id not in decided]
        inbox.finish(session, verdicts)
    deps.ring_for(everything)
    for verdict in verdicts:
        log.info("event finished", inbound_event=verdict.id, state=verdict.state, reason=verdict.reason)


def give_up(deps: Deps, lane: str) -> None:
    """Quarantine what was tried too often and tell a person."""
    with deps.work() as (session, now):
        needs: list[Event] = [*inbox.give_up(session, lane)]
        everything = deps.react(session, needs, now)
    deps.ring_for(everything)


def _parse(raw: list[RawEvent]) -> tuple[list[Event], list[Verdict]]:
    """What the bodies say, and the verdicts on those that say nothing to us."""
    reported: list[Event] = []
    verdicts: list[Verdict] = []
    for event in raw:
        try:
            parsed = sources.parse(event.id, event.source, event.kind, event.body)
        except Invalid as error:
            reason = str(error)
            verdicts.append(Verdict(event.id, "quarantined", reason))
            reported.append(inbox.needs_a_person(event.id, event.source, reason))
            continue
        if isinstance(parsed, Ignored):
            verdicts.append(Verdict(event.id, "ignored", parsed.reason))
        else:
            reported += parsed
    return reported, verdicts


def _verdict(event: RawEvent, recorded: set[int | None]) -> Verdict:
    if event.id in recorded:
        return Verdict(event.id, "applied")
    return Verdict(event.id, "ignored", "already on the books")
