"""`/api/v1/people`: why one person got what she got, and what she would get. Who it is stands in the body, never in a URL.

Nobody out of the token's chapter is found.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Self

from pydantic import BaseModel, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from engine.outreach import campaigns, sequences
from engine.reports import explain, simulate
from engine.reports.explain import EVERYTHING, About, Explained
from engine.reports.sayings import Said
from engine.reports.simulate import DAYS, LONGEST
from engine.segments.audience import Met
from engine.segments.rules import Name
from webhooks.api import bounds
from webhooks.api import campaigns as own
from webhooks.api.gate import Answer, Call, api
from webhooks.api.reading import Strict, of

PEOPLE = "people:read"

Who = Annotated[
    str, StringConstraints(min_length=1, max_length=320), Field(description="Her address, or her number here.")
]


class AskedAbout(Strict):
    """Why she got what she got: `about` one campaign, sequence or letter, by its short name; without it, all."""

    who: Who
    about: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=80)] | None = None


class AskedAhead(Strict):
    """What she would get: of a campaign that has not begun, or of a sequence if she entered it now; without either, of what
    she is in."""

    who: Who
    campaign: Name | None = None
    sequence: Name | None = None
    days: Annotated[int, Field(ge=1, le=LONGEST)] = DAYS

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.campaign and self.sequence:
            raise PydanticCustomError("both", "names a campaign and a sequence: one of them is enough")
        return self


class Explanation(BaseModel):
    """Every decision about one person with its reason. `refusals`: of each kind of letter, why she may not get it; '': she
    may. `chosen`, `conditions`: how she stands with the audience of what is asked about; `ahead`: what would come."""

    id: int
    name: str
    email: str
    chapter: str
    refusals: Mapping[str, str]
    about: str
    chosen: str
    conditions: Sequence[Met]
    decided: Sequence[Said]
    ahead: Sequence[Said]


@api(PEOPLE, Explanation, body=of(AskedAbout), idle=True, refuses=(404,))
def why(call: Call, asked: AskedAbout) -> Answer:
    """Explain

    For one person and any letter, sequence or campaign: every decision with its reason."""
    who = explain.who(call.session, call.caller.reach, asked.who)
    about = _about(call, asked.about) if asked.about else EVERYTHING
    found = explain.explain(call.session, who, call.now, call.settings.time_zone, asked=about, reach=call.caller.reach)
    return _answer(found)


@api(PEOPLE, Explanation, body=of(AskedAhead), idle=True, heavy=True, refuses=(404, 409))
def ahead(call: Call, asked: AskedAhead) -> Answer:
    """Simulate for one person

    Exactly what she would get, on which dates and why, if she did nothing meanwhile. Nothing is changed."""
    who = explain.who(call.session, call.caller.reach, asked.who)
    if asked.campaign:
        own.reached(call, asked.campaign)
    if asked.sequence:
        found = sequences.one(call.session, asked.sequence)
        bounds.require(call, found.chapter_id, f"there is no sequence {asked.sequence}")
    return _answer(
        simulate.for_person(
            call.session, who, call.now, call.settings, campaign=asked.campaign or "", sequence=asked.sequence or "",
            days=asked.days, reach=call.caller.reach,
        )
    )  # fmt: skip


def _about(call: Call, slug: str) -> About:
    """What is asked about; another chapter's is not there."""
    found = explain.about(call.session, slug)
    missing = f"there is no campaign, sequence or letter {slug}"
    if found.what == "campaign":
        bounds.require(call, campaigns.one(call.session, slug).chapter_id, missing)
    if found.what == "sequence":
        bounds.require(call, sequences.one(call.session, slug).chapter_id, missing)
    return found


def _answer(found: Explained) -> Answer:
    return Answer(
        Explanation(
            id=found.contact_id, name=found.name, email=found.email, chapter=found.chapter, refusals=found.refusals,
            about=found.about.slug, chosen=found.chosen, conditions=found.conditions, decided=found.decided,
            ahead=found.ahead,
        )
    )  # fmt: skip
