"""What campaigns and sequences came to, and what they would do: `…/results`, `…/simulate`. Numbers, of nobody alone."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from pydantic import BaseModel, Field

from engine.errors import NotFound
from engine.outreach import sequences
from engine.outreach.sequence_files import Told
from engine.reports import results, simulate
from engine.reports.estimates import Estimate
from engine.reports.outcomes import Counted, Simulated
from engine.reports.results import Group, Line, Numbers, Results
from engine.reports.simulate import DAYS, LONGEST, SAMPLE, Bounds
from webhooks.api import campaigns
from webhooks.api.gate import Answer, Call, api
from webhooks.api.reading import Query
from webhooks.api.sequences import SEQUENCE, sound

SECONDS = 20.0  # of one simulation: a proxy waits for thirty


class Left(BaseModel):
    """Why people left before the end, with how many."""

    reason: str
    people: int


class HeldOut(BaseModel):
    """A step that some were held out of: who gave of those who got its letter, and of the others. `more`: by how much the
    part of donors is larger with the letter, give or take `margin`."""

    step: str
    written: Group
    held_out: Group
    more: float
    margin: float


class ResultsShown(BaseModel):
    """What it came to so far. `whole`: all `lines` together; amounts are in cents. `compared`: null when that takes too
    long."""

    slug: str
    name: str
    state: str
    enrolled: int
    finished: int
    left_early: int
    left: Sequence[Left]
    whole: Numbers
    lines: Sequence[Line]
    compared: Sequence[HeldOut] | None


class Amount(BaseModel):
    """How much of something there would be. `margin`: to each side of `number`; 0: all were looked at."""

    number: int
    margin: int


class OfDay(Amount):
    """Letters of one day."""

    day: date


class Of(Amount):
    """Of one thing: a chapter, a step with its variant, a reason."""

    what: Sequence[str]


class Simulation(BaseModel):
    """What would happen, of a random part (`looked_at`) of all `people`, scaled up. `ends`: how people would end (state,
    reason); `passed`: what they would not be written (step, outcome, reason); `unsent`: letters that would not leave (step,
    state, reason); `put_off`: letters that would wait, and for what; `paused`: it stands still, and this is as if it went on.
    Days are the organisation's."""

    name: str
    looked_at: int
    people: int
    since: datetime
    until: datetime
    letters: Amount
    by_day: Sequence[OfDay]
    by_chapter: Sequence[Of]
    by_step: Sequence[Of]
    ends: Sequence[Of]
    passed: Sequence[Of]
    unsent: Sequence[Of]
    put_off: Sequence[Of]
    needed: Sequence[str]
    paused: bool


class Ahead(Query):
    """How far it looks."""

    days: int = Field(DAYS, ge=1, le=LONGEST, description="How many days ahead.")
    sample: int = Field(5_000, ge=1, le=SAMPLE, description="At how many people at most.")


@api("campaigns:read", ResultsShown)
def of_campaign(call: Call) -> Answer:
    """What a campaign came to

    By step, variant, language and chapter: letters, gifts that are owed to them, and what refunds left of these."""
    return _results(results.of_campaign(call.session, campaigns.one(call).slug))


@api("sequences:read", ResultsShown)
def of_sequence(call: Call) -> Answer:
    """What a sequence came to

    By the people who entered it by themselves; the root's is not a chapter's to see."""
    return _results(results.of_sequence(call.session, _own_sequence(call)))


@api("campaigns:read", Simulation, query=Ahead, heavy=True, refuses=(409, 422))
def simulate_campaign(call: Call) -> Answer:
    """Simulate a campaign

    Runs it, as it stands, for a random part of its real audience in a clone of the world. It must not have begun (409).
    Nothing is changed; what takes longer than twenty seconds is refused (422)."""
    slug = campaigns.one(call).slug
    return _simulation(simulate.of_campaign(call.session, slug, call.now, call.settings, _bounds(call)))


@api("sequences:read", Simulation, query=Ahead, heavy=True, refuses=(422,))
def simulate_sequence(call: Call) -> Answer:
    """Simulate a sequence

    As if everybody within the token's chapter whom it takes entered it at once."""
    found = sequences.one(call.session, call.name())
    if found.chapter_id is not None and not call.caller.reach.holds(found.chapter_id):
        raise NotFound(f"there is no sequence {found.slug}")
    scopes = [call.caller.chapter]
    return _simulation(
        simulate.of_sequence(call.session, found.slug, call.now, call.settings, _bounds(call), scopes=scopes)
    )


@api("sequences:read", Simulation, body=SEQUENCE, query=Ahead, idle=True, heavy=True)
def simulate_written(call: Call, told: Told) -> Answer:
    """Simulate a sequence before it is published

    As `simulate` does with a published one. Nothing is kept."""
    definition, _ = sound(call, told)
    scopes = [call.caller.chapter]
    return _simulation(
        simulate.of_sequence(call.session, definition, call.now, call.settings, _bounds(call), scopes=scopes)
    )


def _own_sequence(call: Call) -> str:
    slug = call.name()
    if not call.caller.reach.holds(sequences.one(call.session, slug).chapter_id):
        raise NotFound(f"there is no sequence {slug}")
    return slug


def _bounds(call: Call) -> Bounds:
    return Bounds(call.query.sample, call.query.days, SECONDS)


def _results(found: Results) -> Answer:
    compared = (
        None
        if found.compared is None
        else [
            HeldOut(step=each.step, written=each.written, held_out=each.held_out, more=each.more, margin=each.margin)
            for each in found.compared
        ]
    )
    return Answer(
        ResultsShown(
            slug=found.slug, name=found.name, state=found.state, enrolled=found.enrolled, finished=found.finished,
            left_early=found.left_early, left=[Left(reason=reason, people=people) for reason, people in found.left],
            whole=found.whole, lines=found.lines, compared=compared,
        )
    )  # fmt: skip


def _simulation(found: Simulated) -> Answer:
    lists = {name: [_of(each) for each in getattr(found, name)]
             for name in ("by_chapter", "by_step", "ends", "passed", "unsent", "put_off")}  # fmt: skip
    by_day = [OfDay(day=each.what[0], **_amount(each.how_much)) for each in found.by_day]
    return Answer(
        Simulation(
            name=found.name, looked_at=found.sample.looked_at, people=found.sample.people, since=found.since,
            until=found.until, letters=Amount(**_amount(found.letters)), by_day=by_day, needed=found.needed,
            paused=found.paused, **lists,
        )
    )  # fmt: skip


def _of(each: Counted) -> Of:
    return Of(what=[str(part) for part in each.what], **_amount(each.how_much))


def _amount(estimate: Estimate) -> dict[str, Any]:
    return {"number": estimate.number, "margin": estimate.margin}
