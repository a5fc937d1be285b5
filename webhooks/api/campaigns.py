"""`/api/v1/campaigns`: drafts of what is sent to whom, looked at before it leaves. What is done to one that leaves stands in
`launches`.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from engine.errors import NotFound
from engine.outreach import campaign_files, campaigns, preflight, sequences
from engine.outreach.campaign_files import Told
from engine.outreach.campaigns import Draft, Standing
from engine.segments import names as naming
from engine.segments import rules, shelf
from engine.segments.rules import Name, Words
from webhooks.api import bounds, pages
from webhooks.api.gate import Answer, Call, api
from webhooks.api.pages import Listed, Paging
from webhooks.api.reading import Strict, of, written
from webhooks.problems import Refused

READ, WRITE = "campaigns:read", "campaigns:write"
PATH = "/api/v1/campaigns"


class CampaignShown(BaseModel):
    """A campaign as it stands. `chapter`: whose it is; '' the root's. `rule`: whom it chooses; of a draft with a segment, as
    that stood when the draft was written. `held_until`: until then it can be undone. `expected`: how many people it was
    launched for."""

    slug: str
    name: str
    chapter: str
    sequence: str
    letter: str
    segment: str
    rule: rules.Written
    facts: Mapping[str, Any]
    kind: str
    state: str
    run: int
    repeat: str
    starts_at: datetime | None
    deadline: datetime | None
    gathering: str
    urgent: str
    held_until: datetime | None
    needs_approval: bool
    waits_for_approval: bool
    launched_at: datetime | None
    approved_at: datetime | None
    paused_at: datetime | None
    paused_because: str
    ended_at: datetime | None
    ended_because: str
    archived_at: datetime | None
    expected: int
    changed_at: datetime


class CampaignList(Listed):
    """A page of campaigns, the newest first."""

    items: Sequence[CampaignShown]


class CampaignChecked(BaseModel):
    """What it would be at this moment. `chapters`: from which its people come; `steps`: it, read aloud. `refusals`: why it
    cannot be launched; `warnings`: what one should look at. `hold_minutes`: how long it would wait for an undo;
    `needs_approval`: whether a second person must agree."""

    people: int
    languages: Mapping[str, int]
    chapters: Mapping[str, int]
    steps: Sequence[str]
    refusals: Sequence[str]
    warnings: Sequence[str]
    hold_minutes: int
    needs_approval: bool


class Copy(Strict):
    """What a copy is called. `name`: without it, the same with "(copy)" behind it."""

    slug: Name
    name: Words | None = None


class CampaignsAsked(Paging):
    """`archived`: those, too."""

    archived: bool = Field(False, description="Archived ones, too.")


CAMPAIGN = written(Draft, campaign_files.read_document)


@api(READ, CampaignList, query=CampaignsAsked)
def listing(call: Call) -> Answer:
    """The campaigns

    Those of the token's chapter and below, the newest first."""
    named = f"campaigns:{call.query.archived}"
    behind = pages.begins(call, named)
    found = campaigns.every(
        call.session, bounds.within(call),
        before=int(behind) if behind else None, most=call.query.limit + 1, archived=call.query.archived,
    )  # fmt: skip
    page, more = pages.cut(call, named, found, lambda campaign: campaign.id)
    return Answer(CampaignList(items=[shown(campaign) for campaign in page], next=more))


@api(WRITE, CampaignShown, status=201, body=CAMPAIGN, keyed=True)
def create(call: Call, told: Told) -> Answer:
    """Write a new campaign

    A draft: nothing leaves before it is launched. Its short name must be free (409)."""
    draft = _sound(call, told)
    made = campaigns.create(call.session, draft, call.now, call.settings, who=call.who)
    return answer(made, status=201, location=f"{PATH}/{made.slug}")


@api(READ, CampaignShown)
def show(call: Call) -> Answer:
    """One campaign"""
    return answer(one(call))


@api(WRITE, CampaignShown, body=CAMPAIGN, conditional=True, refuses=(409,))
def change(call: Call, told: Told) -> Answer:
    """Change a draft

    It says all of it anew; needs the `If-Match` of what was read. What was launched cannot be changed (409)."""
    before = to_change(call, needed=True)
    draft = _sound(call, told)
    changed = campaigns.update(call.session, before.slug, draft, call.now, call.settings, who=call.who)
    return answer(changed)


@api(WRITE, CampaignShown, status=201, body=of(Copy), keyed=True)
def duplicate(call: Call, copy: Copy) -> Answer:
    """Duplicate a campaign

    A new draft that says the same, but not when it begins."""
    before = one(call)
    call.unchanged(shown(before))
    made = campaigns.duplicate(
        call.session, before.slug, copy.slug, call.now, call.settings, who=call.who, name=copy.name or ""
    )
    return answer(made, status=201, location=f"{PATH}/{made.slug}")


@api(WRITE, CampaignShown, refuses=(409,))
def archive(call: Call) -> Answer:
    """Archive a campaign

    A draft, or one that has ended (409)."""
    campaign = to_change(call)
    return answer(campaigns.archive(call.session, campaign.slug, call.now, who=call.who))


@api(READ, CampaignChecked)
def check(call: Call) -> Answer:
    """Look at a campaign before it leaves

    How many people it would reach, why it cannot be launched, what one should look at. Nothing is changed."""
    found = preflight.look(call.session, one(call).slug, call.now, call.settings)
    return Answer(
        CampaignChecked(
            people=found.people, languages=found.languages, chapters=found.chapters, steps=found.steps,
            refusals=found.refusals, warnings=found.warnings,
            hold_minutes=found.hold_minutes, needs_approval=found.needs_approval,
        )
    )  # fmt: skip


def one(call: Call, *, lock: bool = False) -> Standing:
    """The campaign of the path. Raises NotFound when none is within reach."""
    return reached(call, call.name(), lock=lock)


def reached(call: Call, slug: str, *, lock: bool = False) -> Standing:
    """The same of any name."""
    campaign = (campaigns.locked if lock else campaigns.one)(call.session, slug)
    if not call.caller.reach.holds(campaign.chapter_id):
        raise NotFound(f"there is no campaign {slug}")
    return campaign


def to_change(call: Call, *, needed: bool = False) -> Standing:
    """The same, which nobody else changes now, and which is as the request says that it was read."""
    campaign = one(call, lock=True)
    call.unchanged(shown(campaign), needed=needed)
    return campaign


def _sound(call: Call, told: Told) -> Draft:
    """What was sent, when what it names is within reach; else refused, each fault with its line."""
    draft, document = told.draft, told.document
    assert draft is not None  # without one it was refused
    faults = bounds.faults(call, document, draft.chapter or "")
    for name, slug, find in (("segment", draft.segment, shelf.one), ("sequence", draft.sequence, sequences.one)):
        if slug and (wrong := _missing(call, find, slug)):
            faults.append(document.fault([name], wrong.format(f"{name} {slug}")))
    if draft.rule is not None:
        names = naming.find(call.session, draft.rule, within=bounds.within(call))
        missing = naming.unknown(call.session, draft.rule, names)
        faults += [document.fault(["rule", *path], says) for path, says in missing]
    if faults:
        raise Refused(422, "this cannot be taken as it is", faults)
    return draft


def _missing(call: Call, find: Callable[[Session, str], Any], slug: str) -> str:
    """Why the token cannot use what is called this; '': it can."""
    try:
        found = find(call.session, slug)
    except NotFound:
        return "there is no {}"
    if not bounds.reads(call, found.chapter_id):
        return "there is no {}"
    return "the {} is archived" if found.archived_at is not None else ""


def answer(campaign: Standing, *, status: int = 200, location: str = "") -> Answer:
    """A campaign as it stands now."""
    found = shown(campaign)
    return Answer(found, status, location, found)


def shown(campaign: Standing) -> CampaignShown:
    """What is shown of it."""
    told = {name: getattr(campaign, name) for name in CampaignShown.model_fields}
    return CampaignShown(**told | {"rule": rules.said(campaign.rule)})
