"""Handing letters over: claim with the last look and commit; no transaction open during the request; record the answer."""

from collections.abc import Sequence
from datetime import datetime
from time import monotonic

import structlog

from engine import metrics
from engine.bootstrap import Deps
from engine.errors import Invalid, Unavailable
from engine.mail import handovers
from engine.mail.handovers import Outcome
from engine.mail.links import Links
from engine.outreach import deliver
from engine.outreach.deliver import Draft
from engine.ports import Mailer

TURN_SECONDS = 2.0

log = structlog.get_logger(__name__)


def hand_over(deps: Deps, lane: str) -> None:
    """Answer the bell of a letter lane: batch after batch, until nothing is due or the turn is over."""
    until = monotonic() + TURN_SECONDS
    due = deliver.BATCH
    while due >= deliver.BATCH and monotonic() < until:
        due = _batch(deps, lane)
    if due >= deliver.BATCH:
        deps.bells.ring(lane)


def settle(deps: Deps) -> None:
    """Settle uncertain handovers by the provider's own record; without one they stay uncertain."""
    with deps.work() as (session, _):
        ids = handovers.uncertain(session)
    taken = deps.mailer.find(ids) if ids and deps.mailer else None
    if taken is None:
        return
    outcomes = handovers.settled(ids, taken)
    with deps.work() as (session, now):
        everything = deps.react(session, handovers.record(session, outcomes, now), now)
    deps.ring_for(everything)
    for outcome in outcomes:
        log.info("handover settled", handover=outcome.id, outcome=outcome.state)


def mailer_of(deps: Deps) -> Mailer:
    """The mail provider. Raises Unavailable where none is connected."""
    if deps.mailer is None:
        raise Unavailable("no mail provider is connected in production yet: letters wait as rows, ready")
    return deps.mailer


def links_of(deps: Deps, now: datetime) -> Links:
    """What the links of letters that leave now are made with."""
    return Links(deps.signer, deps.settings.base_url, now)


def _batch(deps: Deps, lane: str) -> int:
    mailer = mailer_of(deps)
    with deps.work() as (session, now):
        drafts, due = deliver.claim(session, lane, now, mailer.call_seconds)
    claimed_at = monotonic()
    if not drafts:
        return due
    outcomes = [submit(mailer, draft, links_of(deps, now), claimed_at) for draft in drafts]
    with deps.work() as (session, now):
        everything = deps.react(session, handovers.record(session, outcomes, now), now)
    deps.ring_for(everything)
    _say(lane, drafts, outcomes)
    return due


def submit(mailer: Mailer, draft: Draft, links: Links, claimed_at: float) -> Outcome:
    """One request for one letter, unless this process slept through its claim (the zombie guard)."""
    try:
        letter = draft.letter(links)
    except Invalid as error:
        return Outcome(draft.handover_id, "refused", reason=str(error))
    if monotonic() - claimed_at > deliver.ZOMBIE_SECONDS:
        return Outcome(draft.handover_id, "abandoned", reason="too long since the claim", again=True)
    answer = mailer.hand_over(draft.handover_id, [letter])
    return Outcome(draft.handover_id, answer.outcome, answer.provider_id, answer.detail, again=answer.retryable)


def _say(lane: str, drafts: Sequence[Draft], outcomes: Sequence[Outcome]) -> None:
    for draft, outcome in zip(drafts, outcomes, strict=True):
        metrics.LETTERS.labels(lane, outcome.state).inc()
        log.info(
            "letter handed over",
            outcome=outcome.state,
            inbound_event=draft.cause,
            message=draft.message_id,
            handover=outcome.id,
            reason=outcome.reason,
        )
