"""`/api/v1/people`: why one person got what she got, and what she would get. Who it is stands in the body, never in a URL.

Nobody out of the token's chapter is found.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from engine.errors import Invalid, NotFound
from engine.outreach import campaigns, sequences
from engine.reports import explain, simulate
from engine.reports.explain import EVERYTHING, About, Explained
from engine.reports.sayings import Said
from engine.reports.simulate import DAYS, LONGEST
from engine.segments.audience import Met
from webhooks.api import bounds
from webhooks.api.gate import Answer, Call, api
from webhooks.api.reading import Strict, of

PEOPLE = "people:read"

Who = Annotated[
    str, StringConstraints(min_length=1, max_length=320), Field(description="Her address, or her number here.")
]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=80)]


class AskedAbout(Strict):
    """Who, and `about` which campaign, sequence or letter, by its short name; without it, all."""

    who: Who
    about: Slug | None = None


class AskedAhead(Strict):
    """Who, and `about` which campaign that has not begun, or which sequence, if she entered it now; without it, all that she
    is in. `days`: how far ahead."""

    who: Who
    about: Slug | None = None
    days: Annotated[int, Field(ge=1, le=LONGEST)] = DAYS


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
    about = _about(call, asked.about) if asked.about else EVERYTHING
    if about.what == "letter":
        raise Invalid("a campaign or a sequence is tried with somebody, not a letter")
    return _answer(
        simulate.for_person(
            call.session, who, call.now, call.settings, asked=about, days=asked.days, reach=call.caller.reach
        )
    )


def _about(call: Call, slug: str) -> About:
    """What is asked about. Another chapter's is not there, nor is a campaign of the root for a chapter's token."""
    found = explain.about(call.session, slug)
    missing = f"there is no campaign, sequence or letter {slug}"
    if found.what == "campaign" and not call.caller.reach.holds(campaigns.one(call.session, slug).chapter_id):
        raise NotFound(missing)
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
