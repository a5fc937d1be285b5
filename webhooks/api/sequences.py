"""`/api/v1/sequences`: letters one after the other, checked, published in versions that nobody changes, stopped, moved on."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field, WithJsonSchema

from engine.errors import Conflict
from engine.outreach import definitions, moving, sequence_checks, sequence_files, sequence_words, sequences
from engine.outreach.definitions import Definition
from engine.outreach.sequence_checks import Checked
from engine.outreach.sequence_files import Told
from engine.outreach.sequences import Done, Standing
from engine.segments.rules import Name, Words
from webhooks.api import bounds, campaigns, pages
from webhooks.api.gate import Answer, Call, api
from webhooks.api.pages import Listed, Paging
from webhooks.api.reading import Query, Strict, of, written
from webhooks.problems import Refused

READ, WRITE = "sequences:read", "sequences:write"
PATH = "/api/v1/sequences"

Written = Annotated[Any, WithJsonSchema({"x-model": "Sequence"})]


class SequenceChecked(BaseModel):
    """What a sequence says, line by line; `remarks`: what one should look at."""

    slug: str
    says: Sequence[str]
    remarks: Sequence[str]


class SequenceShown(BaseModel):
    """A sequence as it stands. `chapter`: whose it is; '' the root's. `trigger`: what lets people enter; '' a launch.
    `version`: the newest one, by which they do; 0: none is published. `definition`, `published_at`: that one's, or those of
    the version that was asked for. `shipped`: it comes with Groundswell, and nobody has made it theirs."""

    slug: str
    name: str
    chapter: str
    trigger: str
    version: int
    shipped: bool
    definition: Written | None
    published_at: datetime | None
    paused_at: datetime | None
    paused_because: str
    archived_at: datetime | None


class SequencePublished(SequenceShown):
    """A sequence, published. `remarks`: what one should look at."""

    remarks: Sequence[str]


class SequenceListed(BaseModel):
    """A sequence on a list."""

    slug: str
    name: str
    chapter: str
    trigger: str
    version: int
    shipped: bool
    paused_at: datetime | None
    paused_because: str
    archived_at: datetime | None


class SequenceList(Listed):
    """A page of sequences, by their short names."""

    items: Sequence[SequenceListed]


class PeopleMoved(BaseModel):
    """How many were moved to the newest version; `more`: others are still to be, so ask again. `stay`: how many stand at a
    step that it does not have, by the key of the step."""

    people: int
    version: int
    more: bool
    stay: Mapping[str, int]


class SequencesAsked(Paging):
    """`archived`: those, too."""

    archived: bool = Field(False, description="Archived ones, too.")


class OfVersion(Query):
    """`version`: not the newest, but this one."""

    version: int | None = Field(None, ge=1, le=2**31 - 1, description="This version of it; otherwise the newest.")


class Reason(Strict):
    """Why, for whoever finds it so."""

    because: Words


class OfCampaign(Strict):
    """`campaign`: its people, and whoever enters it from now on; without it, those who entered by an event."""

    campaign: Name | None = None


SEQUENCE = written(Definition, sequence_files.read_document)


@api(READ, SequenceChecked, body=SEQUENCE, idle=True)
def check(call: Call, told: Told) -> Answer:
    """Check a sequence

    Says it line by line, or what is wrong with it: with its steps, its letters, what its rules name. Nothing is kept."""
    definition, checked = sound(call, told)
    says = sequence_words.english(definition, checked.names)
    return Answer(SequenceChecked(slug=definition.slug, says=says, remarks=checked.remarks))


@api(READ, SequenceList, query=SequencesAsked)
def listing(call: Call) -> Answer:
    """The sequences

    Those of the token's chapter and below, and the root's, by their short names."""
    named = f"sequences:{call.query.archived}"
    found = sequences.every(
        call.session, bounds.within(call), archived=call.query.archived,
        behind=pages.begins(call, named), most=call.query.limit + 1,
    )  # fmt: skip
    page, more = pages.cut(call, named, found, lambda one: one.slug)
    return Answer(SequenceList(items=[SequenceListed(**_told(one, SequenceListed)) for one in page], next=more))


@api(WRITE, SequencePublished, status=201, body=SEQUENCE, keyed=True)
def create(call: Call, told: Told) -> Answer:
    """Publish a new sequence

    As its first version, with the words of its letters as they are now. Its short name must be free (409)."""
    definition, _ = sound(call, told)
    done = sequences.publish(call.session, definition, call.now, who=call.who)
    if not done.changed or done.sequence.version != 1:
        raise Conflict(f"{definition.slug} is taken: there is a sequence of this short name")
    return _published(call, done, status=201, location=f"{PATH}/{definition.slug}")


@api(READ, SequenceShown, query=OfVersion)
def show(call: Call) -> Answer:
    """One sequence

    Its newest version, or the one that is asked for."""
    return Answer(_shown(_one(call, call.query.version)))


@api(WRITE, SequencePublished, body=SEQUENCE, conditional=True)
def change(call: Call, told: Told) -> Answer:
    """Publish a new version of a sequence

    It says all of it anew; needs the `If-Match` of what was read. People enter by it from now on; who is in an older version
    stays in that until she is moved. What says nothing new makes no version, one that was archived is back."""
    before = _to_change(call, needed=True)
    definition, _ = sound(call, told)
    if definition.slug != before.slug:
        wrong = told.document.fault(["slug"], f"must be {before.slug}")
        raise Refused(422, "a sequence keeps its short name", [wrong])
    return _published(call, sequences.publish(call.session, definition, call.now, who=call.who))


@api(WRITE, SequencePublished, keyed=True)
def renew(call: Call) -> Answer:
    """Publish a sequence with the newest words of its letters

    It says the same; where no letter has newer words, no version is made."""
    before = _to_change(call)
    return _published(call, sequences.renew(call.session, before.slug, call.now, who=call.who))


@api(WRITE, SequenceShown, body=of(Reason))
def pause(call: Call, said: Reason) -> Answer:
    """Pause a sequence

    Nobody enters it or goes on in it, and none of its letters leaves, until it is resumed. Paused already: nothing is
    done."""
    before = _to_change(call)
    return _done(call, sequences.pause(call.session, before.slug, said.because, call.now, who=call.who))


@api(WRITE, SequenceShown)
def resume(call: Call) -> Answer:
    """Let a sequence go on

    What is late by now goes by the rules of its steps. Not paused: nothing is done."""
    before = _to_change(call)
    return _done(call, sequences.resume(call.session, before.slug, call.now, who=call.who))


@api(WRITE, SequenceShown, refuses=(409,))
def archive(call: Call) -> Answer:
    """Archive a sequence

    Nobody enters it any more, whoever is in it comes to its end; published again, it is back. Refused while campaigns send
    it (409)."""
    before = _to_change(call)
    return _done(call, sequences.archive(call.session, before.slug, call.now, who=call.who))


@api(WRITE, PeopleMoved, body=of(OfCampaign, optional=True), refuses=(409,))
def move(call: Call, said: OfCampaign) -> Answer:
    """Move people to the newest version

    Each stays at the step that is next for her, by its key. At most ten thousand a time: ask again while there are `more`."""
    before = _to_change(call)
    if said.campaign:
        campaigns.reached(call, said.campaign)
    moved = moving.move(call.session, before.slug, call.now, campaign=said.campaign or "", who=call.who)
    return Answer(PeopleMoved(people=moved.people, version=moved.version, more=moved.more, stay=moved.stay))


def _one(call: Call, version: int | None = None, *, lock: bool = False) -> Standing:
    """The sequence of the path. Raises NotFound when there is none that the token may read."""
    slug = call.name()
    found = sequences.locked(call.session, slug) if lock else sequences.one(call.session, slug, version)
    bounds.require(call, found.chapter_id, f"there is no sequence {slug}", change=lock)
    return found


def _to_change(call: Call, *, needed: bool = False) -> Standing:
    """The same, which nobody else changes now, and which is as the request says that it was read."""
    found = _one(call, lock=True)
    call.unchanged(_shown(found), needed=needed)
    return found


def sound(call: Call, told: Told) -> tuple[Definition, Checked]:
    """What was sent, when nothing is wrong with it and it is within reach; else refused, each fault with its line."""
    definition = told.definition
    assert definition is not None  # without one it was refused
    checked = sequence_checks.check(call.session, definition, call.now.date(), bounds.within(call))
    faults = checked.faults_in(told.document) or bounds.faults(call, told.document, definition.chapter or "")
    if faults:
        raise Refused(422, "this cannot be taken as it is", faults)
    return definition, checked


def _published(call: Call, done: Done, *, status: int = 200, location: str = "") -> Answer:
    call.happened += done.happened
    shown = _shown(done.sequence)
    return Answer(SequencePublished(**dict(shown), remarks=done.remarks), status, location, shown)


def _done(call: Call, done: Done) -> Answer:
    call.happened += done.happened
    shown = _shown(done.sequence)
    return Answer(shown, thing=shown)


def _shown(found: Standing) -> SequenceShown:
    return SequenceShown(**_told(found, SequenceShown))


def _told(found: Standing, model: type[BaseModel]) -> dict[str, Any]:
    told = {name: getattr(found, name) for name in model.model_fields}
    if told.get("definition") is not None:
        told["definition"] = definitions.said(told["definition"])
    return told
