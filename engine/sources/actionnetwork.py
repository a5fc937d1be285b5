"""Action Network's webhooks: a list of actions, each under one typed key, told apart and recorded as sign-ups.

Shape from the vendor's documentation and published bodies of 2018-2020. A list is split, so that one bad element stays
alone. A donation is a sign-up of that kind and no money: money comes from who processed it. `person` holds what was filled
in and may be missing, then only a link to her is there; an upload may hold several. `idempotency_key` came later.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from json import JSONDecodeError, JSONDecoder
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from engine.errors import Invalid
from engine.events import Event, RawEvent, SignUpReported
from engine.sources.osdi import Flag, Line, Lines, Moment, Scalars, an_object, introduced, lines, not_after, objects
from engine.sources.words import Ignored, Lenient, Split, clean, model, read_json

SOURCE = "actionnetwork"
KINDS = {
    "osdi:submission": "submission",
    "osdi:signature": "signature",
    "osdi:attendance": "attendance",
    "osdi:donation": "donation",
    "osdi:outreach": "outreach",
    "action_network:action": "action",
    "action_network:upload": "upload",
}
PLACES = ("osdi:form", "osdi:petition", "osdi:event", "osdi:fundraising_page", "osdi:advocacy_campaign")
PEOPLE = ("person", "people", "persons")
PART = "part"  # the kind under which the inbox keeps an element of a list
MOST_PARTS = 5_000
MOST_PEOPLE = 5_000
LONGEST_KEY = 200  # far more would not fit the index on it
_BLANK = re.compile(r"[ \t\r\n]*")
_PLAIN = JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)


class _Recurrence(Lenient):
    recurring: Flag = False
    period: Line = ""


class _Recipient(Lenient):
    display_name: Line = ""
    amount: Line = ""


class _Sponsor(Lenient):
    title: Line = ""
    url: Line = ""


class _Action(Lenient):
    identifiers: Lines = ()
    created_date: Moment = None
    add_tags: Lines = ()
    referrer: Scalars = Field(default_factory=dict, alias="action_network:referrer_data")
    links: Annotated[dict[str, Any], BeforeValidator(an_object)] = Field(default_factory=dict, alias="_links")
    amount: Line = ""
    currency: Line = ""
    recipients: Annotated[tuple[_Recipient, ...], BeforeValidator(objects)] = ()
    recurrence: Annotated[_Recurrence, BeforeValidator(an_object)] = Field(
        _Recurrence(), alias="action_network:recurrence"
    )


class _Element(Lenient):
    idempotency_key: Line = ""
    sponsor: Annotated[_Sponsor, BeforeValidator(an_object)] = Field(_Sponsor(), alias="action_network:sponsor")


def parse(raw: RawEvent) -> list[Event] | Split | Ignored:
    """A list's elements as parts; of one element its sign-ups, one for each person. Raises Invalid."""
    if raw.kind != PART and raw.body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
        return _split(raw.body)
    document = read_json(raw.body)
    if not isinstance(document, dict):
        raise Invalid("not understood: body")
    named = [name for name in KINDS if document.get(name)]
    if len(named) != 1:
        raise Invalid("more than one kind of action" if named else "no kind of action that we know")
    actions = objects(document[named[0]])
    if not actions:
        raise Invalid(f"not understood: {named[0]}")
    return _reported(raw, KINDS[named[0]], document, actions)


def _split(body: bytes) -> Split | Ignored:
    try:
        parts = tuple(_elements(body.decode("utf-8-sig")))
    except UnicodeDecodeError:
        raise Invalid("not UTF-8") from None
    except RecursionError:
        raise Invalid("nested too deeply") from None
    except ValueError:
        raise Invalid("not valid JSON") from None
    return Split(parts) if parts else Ignored("an empty list")


def _elements(text: str) -> Iterator[bytes]:
    """The elements of a list, each exactly as it was written. Raises ValueError where it is no list."""
    at = _past(text, text.index("[") + 1)
    count = 0
    while text[at : at + 1] != "]" or count:
        _, end = _PLAIN.raw_decode(text, at)
        yield text[at:end].encode()
        count += 1
        if count > MOST_PARTS:
            raise Invalid(f"more than {MOST_PARTS} elements")
        at = _past(text, end)
        if text[at : at + 1] == "]":
            break
        if text[at : at + 1] != ",":
            raise JSONDecodeError("no comma", text, at)
        at = _past(text, at + 1)
    if text[at + 1 :].strip(" \t\r\n"):
        raise JSONDecodeError("more behind the list", text, at)


def _past(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found else at


def _reported(raw: RawEvent, kind: str, document: Mapping[str, Any], actions: list[Any]) -> list[Event]:
    element = model(_Element, document)
    told = [(model(_Action, action), person) for action in actions for person in _people(action)]
    if len(told) > MOST_PEOPLE:
        raise Invalid(f"more than {MOST_PEOPLE} people")
    key = _key(raw, document, actions[0])
    return [
        _sign_up(raw, kind, key if place == 0 else f"{key}:{place}", element=element, action=action, person=person)
        for place, (action, person) in enumerate(told)
    ]


def _people(action: Mapping[str, Any]) -> list[object]:
    """The people of an action; one of whom nothing is told when there is none."""
    return [person for name in PEOPLE for person in objects(action.get(name))] or [None]


def _key(raw: RawEvent, document: Mapping[str, Any], action: Mapping[str, Any]) -> str:
    """What makes it the same action when it comes again: theirs, else the hash of what was written."""
    theirs = (clean(document.get("idempotency_key")), clean(action.get("idempotency_key")))
    for key in (*theirs, *lines(action.get("identifiers"))):
        if 0 < len(key) <= LONGEST_KEY:
            return key
    return hashlib.sha256(raw.body).hexdigest()


def _sign_up(
    raw: RawEvent, kind: str, key: str, *, element: _Element, action: _Action, person: object
) -> SignUpReported:
    who = introduced(person)
    more: dict[str, object] = {
        "identifiers": action.identifiers,
        "sponsor": element.sponsor.title,
        "sponsor_url": element.sponsor.url,
        "referrer": action.referrer,
        "person_url": _href(action.links.get("osdi:person")),
    }
    if kind == "donation":
        more |= _money(action)
    place = next((href for name in PLACES if (href := _href(action.links.get(name)))), element.sponsor.url)
    return SignUpReported(
        cause=raw.id,
        source=SOURCE,
        source_key=key,
        kind=kind,
        person=who.person,
        at=not_after(action.created_date, raw.received_at),
        mail=who.mail,
        text=who.text,
        place=place,
        tags=action.add_tags,
        detail=who.detail | {name: value for name, value in more.items() if value},
    )


def _href(link: object) -> str:
    """Where a link leads; of several the first."""
    return model(_Link, an_object(link)).href


class _Link(Lenient):
    href: Line = ""


def _money(action: _Action) -> dict[str, object]:
    """What a donation says of its amount, as text: nothing is booked on it."""
    return {
        "amount": action.amount,
        "currency": action.currency,
        "recipients": [one.model_dump() for one in action.recipients],
        "recurring": action.recurrence.recurring,
        "period": action.recurrence.period,
    }
