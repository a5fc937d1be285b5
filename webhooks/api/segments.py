"""`/api/v1/segments`: rules that choose people, checked, counted, saved."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from engine.segments import audience, files, rules, shelf, words
from engine.segments import names as naming
from engine.segments.audience import Preview
from engine.segments.files import Draft, Said, Told
from engine.segments.names import Names
from engine.segments.shelf import Saved
from webhooks.api import bounds, pages
from webhooks.api.gate import Answer, Call, api
from webhooks.api.pages import Listed, Paging
from webhooks.api.reading import Query, written
from webhooks.problems import Refused

READ, WRITE, PEOPLE = "segments:read", "segments:write", "people:read"
PATH = "/api/v1/segments"


class SegmentChecked(BaseModel):
    """What a segment means, in English."""

    slug: str
    says: str


class SegmentShown(BaseModel):
    """A saved segment. `chapter`: whose it is; '' the root's. `says`: what it means, in English."""

    slug: str
    name: str
    chapter: str
    rule: rules.Written
    says: str
    changed_at: datetime
    archived_at: datetime | None


class SegmentList(Listed):
    """A page of segments, by their short names; archived ones are not among them."""

    items: Sequence[SegmentShown]


class Condition(BaseModel):
    """What is left of all people after this condition and those before it."""

    says: str
    people: int


class PersonShown(BaseModel):
    """One of those whom it would choose."""

    id: int
    email: str
    name: str
    city: str
    chapter: str


class SegmentPreview(BaseModel):
    """Whom it would choose at this moment, of those who may be written to. `shown`: twenty of them; without the scope
    people:read, null."""

    people: int
    conditions: Sequence[Condition]
    shown: Sequence[PersonShown] | None


class Previewed(Query):
    """`kind`: of the letter that they must allow."""

    kind: Literal["asks", "news", "gatherings", "actions"] = Field("news", description="The letter they must allow.")


SEGMENT = written(Said, files.read_document)


@api(READ, SegmentChecked, body=SEGMENT, idle=True)
def check(call: Call, told: Told) -> Answer:
    """Check a segment

    Says what its rule means, or what is wrong with it. Nothing is kept."""
    draft = _sound(call, told)
    return Answer(SegmentChecked(slug=draft.slug, says=_says(draft, naming.find(call.session, draft.rule))))


@api(READ, SegmentPreview, body=SEGMENT, query=Previewed, idle=True)
def preview(call: Call, told: Told) -> Answer:
    """Count whom a segment would choose

    Counts exactly, at this moment, and says how many each condition leaves. What takes longer than ten seconds to count is
    refused (422). Nothing is kept."""
    return _previewed(call, _sound(call, told))


@api(READ, SegmentPreview, query=Previewed)
def preview_saved(call: Call) -> Answer:
    """Count whom a saved segment would choose

    As for one that is not saved."""
    return _previewed(call, _one(call).draft)


@api(READ, SegmentList, query=Paging)
def listing(call: Call) -> Answer:
    """The saved segments

    Those of the token's chapter and below, and the root's, by their short names."""
    of = bounds.within(call)
    behind, most = pages.begins(call, "segments"), call.query.limit + 1
    found, more = pages.cut(
        call, "segments", shelf.every(call.session, of, behind=behind, most=most), lambda saved: saved.slug
    )
    names = naming.find(call.session, *(saved.rule for saved in found))
    return Answer(SegmentList(items=[_shown(saved, names) for saved in found], next=more))


@api(WRITE, SegmentShown, status=201, body=SEGMENT, keyed=True)
def create(call: Call, told: Told) -> Answer:
    """Save a new segment

    Its short name must be free (409)."""
    draft = _sound(call, told)
    outcome = shelf.save(call.session, draft, call.now, new=True)
    call.record("segment begun", "segment", outcome.id, segment=draft.slug, fields=list(outcome.fields))
    return _answered(call, draft.slug, status=201, location=f"{PATH}/{draft.slug}")


@api(READ, SegmentShown)
def show(call: Call) -> Answer:
    """One segment

    Archived ones, too."""
    return _answered(call, _one(call).slug)


@api(WRITE, SegmentShown, body=SEGMENT, conditional=True)
def change(call: Call, told: Told) -> Answer:
    """Change a segment

    It says all of the segment anew; needs the `If-Match` of what was read. One that was archived is back."""
    before = _one(call, change=True)
    call.unchanged(_shown(before, naming.find(call.session, before.rule)), needed=True)
    draft = _sound(call, told)
    if draft.slug != before.slug:
        raise Refused(422, "a segment keeps its short name", [told.document.fault(["slug"], f"must be {before.slug}")])
    outcome = shelf.save(call.session, draft, call.now)
    if outcome.fields:
        call.record("segment changed", "segment", outcome.id, segment=draft.slug, fields=list(outcome.fields))
    return _answered(call, draft.slug)


@api(WRITE, SegmentShown)
def archive(call: Call) -> Answer:
    """Archive a segment

    It is on no list any more; changed, it is back. Campaigns that were scheduled with it keep its rule as it was."""
    saved = _one(call, change=True)
    call.unchanged(_shown(saved, naming.find(call.session, saved.rule)))
    archived = shelf.archive(call.session, saved.slug, call.now)
    if archived is not None:
        call.record("segment archived", "segment", archived, segment=saved.slug)
    return _answered(call, saved.slug)


def _one(call: Call, *, change: bool = False) -> Saved:
    """The segment of the path; to be changed, one that nobody else changes now. Raises NotFound when none is within reach."""
    slug = call.name()
    saved = shelf.one(call.session, slug, hold=change)
    bounds.require(call, saved.chapter_id, f"there is no segment {slug}", change=change)
    return saved


def _sound(call: Call, told: Told) -> Draft:
    """What was sent, when all that it names is there and it is within reach; else refused, each fault with its line."""
    draft = told.draft
    assert draft is not None  # without one it was refused
    faults = shelf.faults(call.session, draft, told.document, bounds.within(call))
    faults = faults or bounds.faults(call, told.document, draft.chapter)
    if faults:
        raise Refused(422, "this cannot be taken as it is", faults)
    return draft


def _previewed(call: Call, draft: Draft) -> Answer:
    scopes = (draft.chapter, call.caller.chapter)
    found: Preview = audience.preview(call.session, draft.rule, call.now, kind=call.query.kind, scopes=scopes)
    people = [
        PersonShown(id=one.id, email=one.email, name=one.name, city=one.city, chapter=one.chapter)
        for one in found.shown
    ]
    left = [Condition(says=each.says, people=each.people) for each in found.conditions]
    return Answer(SegmentPreview(people=found.people, conditions=left, shown=people if call.allows(PEOPLE) else None))


def _answered(call: Call, slug: str, *, status: int = 200, location: str = "") -> Answer:
    saved = shelf.one(call.session, slug)
    shown = _shown(saved, naming.find(call.session, saved.rule))
    return Answer(shown, status, location, shown)


def _shown(saved: Saved, names: Names) -> SegmentShown:
    return SegmentShown(
        slug=saved.slug, name=saved.name, chapter=saved.chapter, rule=rules.said(saved.rule),
        says=_says(saved.draft, names), changed_at=saved.changed_at, archived_at=saved.archived_at,
    )  # fmt: skip


def _says(draft: Draft, names: Names) -> str:
    return words.english(draft.rule, names)
