"""Sign-ups on our own forms: the flat JSON that our web process stores when it takes one, strictly read.

One sign-up a body, known by the key under which it was stored; `at` is the house's clock, as it was read when she sent
the form. She agreed to mail by sending the form (`wording`); whether
that counts at once is decided where people are (`engine.people.joining`). A ZIP that is none is kept as it was typed.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StringConstraints

from engine.errors import Invalid
from engine.events import Event, Person, RawEvent, SignUpReported, Wishes
from engine.sources.addresses import state_code
from engine.sources.osdi import LONGEST_LINE, LONGEST_TEXT, MOST_OF_A_KIND, moment
from engine.sources.words import clean, email_address, model, read_json, zip_code

SOURCE, KIND = "join", "signup"
OWN_CHAPTER = "join/"  # the form of one chapter: who uses it chose that chapter
_SLUG = "[a-z0-9][a-z0-9_-]{0,99}"

_Line = Annotated[str, StringConstraints(max_length=LONGEST_LINE)]
_Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$")]
_Codes = Annotated[list[_Code], Field(max_length=MOST_OF_A_KIND)]


class _Body(BaseModel):
    """What our web process writes. No key but these; text is text, a flag is a flag."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, frozen=True)

    form: Annotated[str, StringConstraints(pattern=rf"^(join|join/{_SLUG}|sheet/{_SLUG})$")]
    at: Annotated[datetime, BeforeValidator(moment)]
    email: _Line
    first_name: _Line = ""
    last_name: _Line = ""
    street: _Line = ""
    city: _Line = ""
    state: _Line = ""
    zip: _Line = ""
    phone: _Line = ""
    language: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")] = "en"
    interests: _Codes = []
    ways_to_help: _Codes = []
    gathering: Literal[""] | _Code = ""
    confirm: StrictBool
    introduce: StrictBool = False
    wording: Annotated[str, StringConstraints(max_length=LONGEST_TEXT)] = ""


def parse(raw: RawEvent) -> list[Event]:
    """The one sign-up of a body. Raises Invalid for whatever our own form would not have written."""
    said = model(_Body, read_json(raw.body))
    email = email_address(clean(said.email))
    if email is None:
        raise Invalid("not understood: email")
    typed = clean(said.zip)
    found = zip_code(typed, "")
    return [
        SignUpReported(
            cause=raw.id,
            source=SOURCE,
            source_key=raw.key,
            kind=KIND,
            person=Person(
                email=email, first_name=clean(said.first_name), last_name=clean(said.last_name),
                street=clean(said.street), city=clean(said.city), state=state_code(clean(said.state), ""), zip=found,
                phone=clean(said.phone),
            ),
            at=said.at,
            mail=True,
            place=said.form,
            wording=clean(said.wording),
            detail={"unusable_zip": typed} if typed and found is None else {},
            wishes=_wishes(said),
        )
    ]  # fmt: skip


def _wishes(said: _Body) -> Wishes:
    chosen = said.form.removeprefix(OWN_CHAPTER) if said.form.startswith(OWN_CHAPTER) else ""
    return Wishes(
        form=said.form,
        language=said.language,
        interests=tuple(dict.fromkeys(said.interests)),
        ways_to_help=tuple(dict.fromkeys(said.ways_to_help)),
        chapter=chosen,
        gathering=said.gathering,
        confirm=said.confirm,
        introduce=said.introduce,
    )
