"""`/api/v1/campaigns/{slug}/…`: launching, approving, undoing, pausing, resuming, cancelling a campaign; how far it is.

What is decided here follows at once; letters leave by the workers, as after the same command.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256

from pydantic import BaseModel

from engine.outreach import halting, launching, preflight, progress
from engine.outreach.campaigns import Done
from engine.segments.rules import Words
from webhooks.api.campaigns import READ, CampaignShown, answer, one, shown, to_change
from webhooks.api.gate import Answer, Call, api
from webhooks.api.reading import Strict, of
from webhooks.problems import Refused

LAUNCH = "campaigns:launch"


class Deed(BaseModel):
    """Something that was done to it, and who did it."""

    at: datetime
    action: str
    who: str


class CampaignProgress(BaseModel):
    """How far it is. `looked_at`: which part of all contacts it has looked at, from 0 to 1; `letters`: how many, by what
    became of them; `waiting`: ready, and not gone; `waits`: why it does not go on by itself now."""

    state: str
    run: int
    looked_at: float
    enrolled: int
    active: int
    finished: int
    left_early: int
    letters: Mapping[str, int]
    waiting: int
    waits: str
    done: Sequence[Deed]


class Because(Strict):
    """Why, for whoever finds it so."""

    because: Words | None = None


@api(LAUNCH, CampaignShown, keyed=True)
def launch(call: Call) -> Answer:
    """Launch a campaign

    It begins at its `starts_at`, or at once, but not before it was held for an undo, where it is large, and approved by a
    second person, where that is asked for. Refused with all reasons (409, in `errors`) while something stands against it,
    and when it is launched already."""
    campaign = one(call)
    call.unchanged(shown(campaign))
    key = sha256(f"{call.caller.token_id}:{call.asked.key}".encode()).hexdigest()
    with _with_reasons():
        done = launching.launch(call.session, campaign.slug, call.now, call.settings, key=key, who=call.who)
    return _done(call, done)


@api(LAUNCH, CampaignShown, refuses=(409,))
def approve(call: Call) -> Answer:
    """Approve a campaign

    By a token of somebody else than who launched it (403)."""
    campaign = to_change(call)
    with _with_reasons():
        done = launching.approve(call.session, campaign.slug, call.now, call.settings, who=call.who)
    return _done(call, done)


@api(LAUNCH, CampaignShown, refuses=(409,))
def undo(call: Call) -> Answer:
    """Undo a launch

    Back to a draft, as long as it has not begun (409)."""
    campaign = to_change(call)
    return _done(call, launching.undo(call.session, campaign.slug, call.now, who=call.who))


@api(LAUNCH, CampaignShown, body=of(Because, optional=True), refuses=(409,))
def pause(call: Call, said: Because) -> Answer:
    """Pause a campaign

    Nobody enters it, and none of its letters leaves, until it is resumed. Paused already: nothing is done."""
    campaign = to_change(call)
    because = said.because or ""
    return _done(call, halting.pause(call.session, campaign.slug, call.now, who=call.who, because=because))


@api(LAUNCH, CampaignShown, refuses=(409,))
def resume(call: Call) -> Answer:
    """Let a campaign go on

    Not paused: nothing is done."""
    campaign = to_change(call)
    return _done(call, halting.resume(call.session, campaign.slug, call.now, who=call.who))


@api(LAUNCH, CampaignShown, body=of(Because, optional=True), refuses=(409,))
def cancel(call: Call, said: Because) -> Answer:
    """Cancel a campaign

    For good, with all that is queued: nothing of it leaves from now on. Cancelled already: nothing is done."""
    campaign = to_change(call)
    because = said.because or ""
    return _done(call, halting.cancel(call.session, campaign.slug, call.now, who=call.who, because=because))


@api(READ, CampaignProgress)
def how_far(call: Call) -> Answer:
    """How far a campaign is

    Its people and letters, counted as they move; why it stands still, if it does; what was done to it."""
    found = progress.look(call.session, one(call).slug, call.now)
    campaign = found.campaign
    return Answer(
        CampaignProgress(
            state=campaign.state, run=campaign.run, looked_at=found.looked_at, enrolled=campaign.enrolled,
            active=found.active, finished=campaign.finished, left_early=campaign.left_early, letters=found.letters,
            waiting=found.waiting, waits=found.waits,
            done=[Deed(at=row.at, action=row.action, who=row.who) for row in found.done],
        )
    )  # fmt: skip


@contextmanager
def _with_reasons() -> Iterator[None]:
    """All that stands against it is told, each by itself."""
    try:
        yield
    except preflight.Refused as refused:
        raise Refused(409, "it cannot be launched as it is", refused.reasons) from None


def _done(call: Call, done: Done) -> Answer:
    call.happened += done.happened
    return answer(done.campaign)
