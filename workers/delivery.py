"""Handing letters over: claim with the last look and commit; no transaction open during the request; record the answer."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from time import monotonic, sleep

import structlog
from sqlalchemy import exc
from sqlalchemy.orm import Session

from engine import bell, metrics
from engine.bootstrap import Deps
from engine.db import transaction
from engine.errors import Unavailable
from engine.events import Event
from engine.letters.links import Links
from engine.mail import breaker, handovers, holds, pace, settling
from engine.mail.handovers import Outcome
from engine.outreach import claims, deliver
from engine.outreach.claims import Claimed, Terms
from engine.outreach.deliver import Parcel, Request
from engine.ports import Answer, Mailer

TURN_SECONDS = 2.0
AGAIN_SECONDS = 15.0  # until letters that something kept from leaving are tried again
WAITS = (0.2, 1.0, 3.0, 9.0)  # seconds, between tries to write down that nothing left

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Batch:
    """What was claimed: its parcels, the links of their letters, and whether there may be more. `claimed_at`: monotonic."""

    parcels: Sequence[Parcel]
    links: Links
    more: bool
    claimed_at: float


def hand_over(deps: Deps, lane: str) -> None:
    """Answer the bell of a letter lane: batch after batch, until nothing is due or the turn is over."""
    until = monotonic() + TURN_SECONDS
    more = True
    while more and monotonic() < until:
        batch = claim(deps, lane)
        outcomes = _submitted(deps, batch)
        more = batch.more or any(outcome.alone or outcome.state in ("split", "abandoned") for outcome in outcomes)
    if more:
        deps.bells.ring(lane)


def settle(deps: Deps) -> None:
    """Settle uncertain handovers: by the provider's own record where it can be asked, else by what it told of others."""
    with deps.work() as (session, _):
        doubts = settling.uncertain(session)
    if not doubts or deps.mailer is None:
        return
    outcomes = settling.settled(doubts, deps.mailer.find([doubt.id for doubt in doubts]))
    open_still = {doubt.id for doubt in doubts} - {outcome.id for outcome in outcomes}
    with deps.work() as (session, now):
        settling.look_again(session, sorted(open_still))
        everything = deps.react(session, handovers.record(session, outcomes, now), now)
    deps.ring_for(everything)
    for outcome in outcomes:
        log.info("handover settled", handover=outcome.id, outcome=outcome.state)


def mailer_of(deps: Deps) -> Mailer:
    """The mail provider. Raises Unavailable where none is connected."""
    if deps.mailer is None:
        raise Unavailable("no mail provider is connected: letters wait as rows, ready")
    return deps.mailer


def claim(deps: Deps, lane: str) -> Batch:
    """Claim what is due in this lane, as much as may leave now."""
    mailer = mailer_of(deps)
    domain, most = _room(deps, mailer) if lane == bell.DELIVERY else (None, mailer.most_copies)
    with _given_back(deps) as waiting:
        with deps.work() as (session, now):
            links = Links(deps.signer, deps.settings.base_url, now)
            if not most:
                return Batch([], links, more=False, claimed_at=monotonic())
            terms = replace(_terms(deps, mailer, now), most=most, domain=domain)
            claimed = (claims.receipts if lane == bell.RECEIPTS else claims.campaign)(session, terms)
            waiting.update(claimed.letters)
            claimed_at = monotonic()  # before the commit: a process may be stopped while it waits for that
        with transaction(deps.sessions) as session:  # the next worker claims meanwhile
            parcels = _loaded(deps, session, claimed, links)
    return Batch(parcels, links, more=claimed.more, claimed_at=claimed_at)


def _loaded(deps: Deps, session: Session, claimed: Claimed, links: Links) -> Sequence[Parcel]:
    if not claimed.letters:
        return []
    parcels = deliver.load(session, claimed.letters, links, deps.settings.time_zone, claimed.readers)
    return deliver.unrepeated(session, parcels, links)


def submit(deps: Deps, batch: Batch, parcel: Parcel) -> Outcome:
    """One request for one parcel, and its answer on record."""
    mailer = mailer_of(deps)
    with _given_back(deps, parcel.handover_id) as waiting:
        request = deliver.request(parcel, batch.links, mailer.most_substitution_bytes)
        if request.copies and (request.failing or request.alone or request.pointless):
            _set_aside(deps, parcel, request)
        answer = _handed(mailer, parcel, request, batch.claimed_at, waiting)
        outcome = _outcome(parcel, request, answer)
        with deps.work() as (session, now):
            happened = [*handovers.record(session, [outcome], now), *_consequences(deps, session, parcel, answer, now)]
            everything = deps.react(session, happened, now)
    deps.ring_for(everything)
    _say(parcel, outcome, len(request.copies))
    return outcome


def _submitted(deps: Deps, batch: Batch) -> list[Outcome]:
    """All parcels of a batch, one after the other."""
    outcomes = []
    with _given_back(deps, *(parcel.handover_id for parcel in batch.parcels)) as waiting:
        for parcel in batch.parcels:
            waiting.discard(parcel.handover_id)
            outcomes.append(submit(deps, batch, parcel))
    return outcomes


@contextmanager
def _given_back(deps: Deps, *handover_ids: int) -> Iterator[set[int]]:
    """The handovers of which nothing has left yet: take one out before its first byte leaves. Whatever is raised in here, the
    letters of those that are left are ready again a little later."""
    waiting, done = set(handover_ids), False
    try:
        yield waiting
        done = True
    finally:
        if waiting and not done:
            _give_back(deps, waiting)


def _give_back(deps: Deps, handover_ids: set[int]) -> None:
    """While Postgres is away this is tried again: of what nobody wrote down it would have to be presumed that it left."""
    reason = "something went wrong before it left"
    outcomes = [
        Outcome(each, "abandoned", reason=reason, again=True, pause=AGAIN_SECONDS) for each in sorted(handover_ids)
    ]
    for wait in (*WAITS, None):
        try:
            with deps.work() as (session, now):
                everything = deps.react(session, handovers.record(session, outcomes, now), now)
            break
        except (exc.DBAPIError, exc.TimeoutError):
            if wait is None:
                raise
            sleep(wait)
    deps.ring_for(everything)
    log.warning("letters given back", handovers=[outcome.id for outcome in outcomes], reason=reason)


def _set_aside(deps: Deps, parcel: Parcel, request: Request) -> None:
    """Letters that are not in the request are on record before it is made."""
    with deps.work() as (session, now):
        happened = handovers.set_aside(session, _outcome(parcel, request, None), now)
        everything = deps.react(session, happened, now)
    deps.ring_for(everything)


def _terms(deps: Deps, mailer: Mailer, now: datetime) -> Terms:
    settings = deps.settings
    return Terms(
        now, mailer.call_seconds, mailer.most_copies, settings.time_zone, settings.letters_a_day, settings.letters_a_week,
        settings.letters_a_week_fewer, production=not settings.development, first=settings.national_first,
    )  # fmt: skip


def _room(deps: Deps, mailer: Mailer) -> tuple[str | None, int]:
    """From which domain, and how many letters the limits of a second let go now."""
    if not (deps.settings.mail_per_second or deps.settings.mail_domain_per_second):
        return None, mailer.most_copies
    with deps.work() as (session, now):
        rooms = claims.rooms(session, _terms(deps, mailer, now))
    return pace.allowed(deps.limiter, deps.settings, rooms) or (None, 0)


def _handed(mailer: Mailer, parcel: Parcel, request: Request, claimed_at: float, waiting: set[int]) -> Answer | None:
    """The provider's answer; None when nothing was asked of it: there is nothing, or this process slept through its claim
    (the zombie guard)."""
    if not request.copies:
        return None

    def leaves() -> bool:
        if monotonic() - claimed_at > claims.ZOMBIE_SECONDS:
            return False
        waiting.discard(parcel.handover_id)
        return True

    return mailer.hand_over(parcel.handover_id, request.sheet, request.copies, before=leaves)


def _outcome(parcel: Parcel, request: Request, answer: Answer | None) -> Outcome:
    """What the answer means for the handover and its letters."""
    end = Outcome(
        parcel.handover_id, "accepted", failing=request.failing, alone=request.alone, pointless=request.pointless
    )
    if answer is None:
        return replace(end, state="abandoned", again=True, reason="too long since the claim" if request.copies else "")
    if answer.outcome == "accepted":
        return replace(end, provider_id=answer.provider_id)
    if answer.outcome == "uncertain":
        return replace(end, state="uncertain", reason=answer.detail)
    if answer.outcome == "bad":
        return _bad(end, [copy.message_id for copy in request.copies], answer)
    if answer.outcome == "sender":
        return replace(end, state="refused", reason=answer.detail, sender=answer.sender)
    return replace(end, state="refused", again=True, reason=answer.detail, pause=answer.wait_seconds)


def _bad(end: Outcome, letters: Sequence[int], answer: Answer) -> Outcome:
    """Something in the request is wrong, and nothing of it was taken: the letters that the provider names fail; if it names
    none, the half of them is tried, until one is left."""
    if len(letters) == 1:
        return replace(end, state="refused", reason=answer.detail)
    named = {letters[place]: answer.detail for place in answer.culprits if 0 <= place < len(letters)}
    if named and len(named) < len(letters):
        return replace(end, state="split", again=True, reason=answer.detail, failing={**end.failing, **named})
    return replace(end, state="split", again=True, reason=answer.detail, together=(len(letters) + 1) // 2)


def _consequences(deps: Deps, session: Session, parcel: Parcel, answer: Answer | None, now: datetime) -> list[Event]:
    """What an answer means for all other letters."""
    match answer:
        case Answer(outcome="accepted"):
            return holds.works(session, now)
        case Answer(outcome="busy"):
            return holds.hold(
                session, holds.BUSY, now, wait=timedelta(seconds=answer.wait_seconds), detail=answer.detail
            )
        case Answer(outcome="closed"):
            return holds.hold(session, holds.KEY, now, detail=answer.detail)
        case Answer(outcome="away"):
            return holds.hold(session, holds.AWAY, now, detail=answer.detail)
    if parcel.lane == bell.DELIVERY and (parcel.fault or (answer is not None and answer.outcome == "bad")):
        return breaker.look(session, [parcel.mailing_id], now, deps.settings)
    return []


def _say(parcel: Parcel, outcome: Outcome, letters: int) -> None:
    metrics.LETTERS.labels(parcel.lane, outcome.state).inc(letters)
    (cause, *_) = parcel.causes.values()
    one = len(parcel.readers) == 1
    log.info(
        "letters handed over" if not one else "letter handed over",
        outcome=outcome.state,
        inbound_event=cause if one else None,
        message=parcel.readers[0]["id"] if one else None,
        letters=letters,
        handover=outcome.id,
        reason=outcome.reason,
    )
