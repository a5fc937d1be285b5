"""Sign-ups that other systems post to us: a flat JSON of our own, or the body of OSDI's person signup helper.

Ours is in the README; forms send some of its names differently (NAMES, or in brackets: `signup[email]`). The helper's
`{person, add_tags, …}` is that of the published specification. Told apart by their content: the helper has a `person`.
Consent is what `status` states. A withdrawal must not get lost: a status of ours that we do not know is refused.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from engine.errors import Invalid
from engine.events import Event, Person, RawEvent, SignUpReported
from engine.sources.addresses import state_code
from engine.sources.osdi import (
    LONGEST_TEXT,
    Flag,
    Introduced,
    Line,
    Lines,
    Moment,
    Scalars,
    an_object,
    introduced,
    not_after,
    standing,
)
from engine.sources.words import Lenient, clean, email_address, model, read_json, zip_code

SOURCE, KIND = "signup", "signup"
LONGEST_ID = 200  # far more would not fit the index on it
NAMES = {
    "first_name": ("given_name",),
    "last_name": ("family_name",),
    "phone": ("mobile", "mobile_number", "phone_number"),
    "street": ("address",),
    "city": ("locality",),
    "state": ("region",),
    "zip": ("postal_code", "zip_code"),
    "tags": ("add_tags",),
}
_BRACKETS = re.compile(r"(?:signup|submission)\[(\w+)\](?:\[\])?")


def _stated(raw: object) -> bool | None:
    found = standing(raw)
    if found is None and raw not in (None, "", [], {}):
        raise ValueError("no status")
    return found


def _id(raw: object) -> str:
    told = clean(raw)
    if len(told) > LONGEST_ID:
        raise ValueError("too long")
    return told


_Stated = Annotated[bool | None, BeforeValidator(_stated)]


class _SignUp(Lenient):
    id: Annotated[str, BeforeValidator(_id)] = ""
    email: Line = ""
    first_name: Line = ""
    last_name: Line = ""
    phone: Line = ""
    street: Line = ""
    city: Line = ""
    state: Line = ""
    zip: Line = ""
    country: Line = ""
    status: _Stated = None
    text_status: _Stated = None
    at: Moment = None
    place: Line = ""
    wording: Annotated[str, BeforeValidator(lambda raw: clean(raw)[:LONGEST_TEXT])] = ""
    tags: Lines = ()


class _Trigger(Lenient):
    enabled: Flag = False


class _Triggers(Lenient):
    autoresponse: Annotated[_Trigger, BeforeValidator(an_object)] = _Trigger()


class _Helper(Lenient):
    add_tags: Lines = ()
    add_lists: Lines = ()
    triggers: Annotated[_Triggers, BeforeValidator(an_object)] = _Triggers()
    referrer: Scalars = Field(default_factory=dict, alias="action_network:referrer_data")


def parse(raw: RawEvent) -> list[Event]:
    """The one sign-up of a body. Raises Invalid for what is neither shape, and for a person who cannot be reached at all."""
    document = read_json(raw.body)
    if not isinstance(document, dict):
        raise Invalid("not understood: body")
    if isinstance(document.get("person"), dict | list):
        return [_helper(raw, document)]
    return [_flat(raw, model(_SignUp, _named(document)))]


def _named(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document under our names: ours before others', plain before bracketed, and one that says something first."""
    told: dict[str, Any] = {}
    bare = {found[1]: value for name, value in document.items() if (found := _BRACKETS.fullmatch(name))}
    for ours in _SignUp.model_fields:
        names = (ours, *NAMES.get(ours, ()))
        values = [source[name] for source in (document, bare) for name in names if name in source]
        told[ours] = next((value for value in values if value not in (None, "", [], {})), None)
    return told


def _reachable(who: Introduced) -> Introduced:
    if not (who.person.email or who.person.phone or "unusable_email" in who.detail):
        raise Invalid("not understood: neither an email nor a phone")
    return who


def _flat(raw: RawEvent, said: _SignUp) -> SignUpReported:
    person = Person(
        email=email_address(said.email), first_name=said.first_name, last_name=said.last_name, street=said.street,
        city=said.city, state=state_code(said.state, said.country), zip=zip_code(said.zip, said.country),
        country=said.country, phone=said.phone,
    )  # fmt: skip
    unusable = {"unusable_email": said.email} if said.email and not person.email else {}
    who = _reachable(Introduced(person, detail=dict(unusable)))
    return SignUpReported(
        cause=raw.id,
        source=SOURCE,
        source_key=said.id or raw.key,
        kind=KIND,
        person=person,
        at=not_after(said.at, raw.received_at),
        mail=said.status,
        text=said.text_status,
        place=said.place,
        wording=said.wording,
        tags=said.tags,
        detail=who.detail,
    )


def _helper(raw: RawEvent, document: Mapping[str, Any]) -> SignUpReported:
    who = _reachable(introduced(document["person"]))
    said = model(_Helper, document)
    more = {
        "lists": said.add_lists,
        "autoresponse": said.triggers.autoresponse.enabled,
        "referrer": said.referrer,
    }
    return SignUpReported(
        cause=raw.id,
        source=SOURCE,
        source_key=raw.key,
        kind=KIND,
        person=who.person,
        at=raw.received_at,
        mail=who.mail,
        text=who.text,
        tags=said.add_tags,
        detail=who.detail | {name: value for name, value in more.items() if value},
    )
