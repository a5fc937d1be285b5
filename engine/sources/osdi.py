"""A person as OSDI writes her, which Action Network and others send: who she is, and what she allowed.

Shape from the published specification and bodies of 2018-2020: `email_addresses`, `phone_numbers`, `postal_addresses`,
each a list with one `primary`; consent to mail is the address's `status`, to text messages the number's. Seen in real
bodies, and survived: one object where a list belongs, the same address twice, a number as a JSON number, a state by its
full name, a ZIP of six digits, no person at all. What is not stated is not allowed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field

from engine.events import Person
from engine.sources.addresses import state_code
from engine.sources.words import Lenient, clean, email_address, model, zip_code

EARLIEST, LATEST = 1990, 2099  # beyond either lies a typing error
FARTHEST = timedelta(hours=16)  # Postgres knows no offset as large
LONGEST_LINE = 500
LONGEST_TEXT = 10_000
MOST_OF_A_KIND = 50  # addresses, tags, answers: whoever sends more means nothing by them

STANDINGS = {
    "subscribed": True,
    "unsubscribed": False,
    "bouncing": False,
    "previous bounce": False,
    "spam complaint": False,
    "previous spam complaint": False,
}


def line(raw: object) -> str:
    """A short text, cut where it becomes unreasonable."""
    return clean(raw)[:LONGEST_LINE]


def objects(raw: object) -> list[object]:
    """The objects of a list, or the one that stands where a list belongs."""
    several = raw if isinstance(raw, list) else [raw]
    return [one for one in several if isinstance(one, dict)]


def lines(raw: object) -> list[str]:
    """The short texts of a list, each once, or the one that stands where a list belongs."""
    told = map(line, raw if isinstance(raw, list) else [raw])
    return list(dict.fromkeys(one for one in told if one))[:MOST_OF_A_KIND]


def scalars(raw: object) -> dict[str, object]:
    """The plain values of an object under their names: what strangers ask in forms of their own."""
    pairs = raw.items() if isinstance(raw, dict) else ()
    told = {line(name): value if isinstance(value, bool) else line(value) for name, value in pairs}
    return dict([pair for pair in told.items() if pair[0] and pair[1] != ""][:MOST_OF_A_KIND])


def an_object(raw: object) -> object:
    """An optional part: whatever is no object says nothing."""
    return next(iter(objects(raw)), {})


def standing(raw: object) -> bool | None:
    """The consent that a status states: True, False when it was withdrawn or broken, None for any other word."""
    return STANDINGS.get(" ".join(clean(raw).lower().replace("_", " ").replace("-", " ").split()))


def together(said: Sequence[bool | None]) -> bool | None:
    """Of several statements at once the withdrawal counts."""
    return False if False in said else True if True in said else None


def moment(raw: object) -> datetime | None:
    """An instant with its offset; None when there is none. Raises ValueError for what is no instant."""
    if raw is None or raw == "":
        return None
    found = datetime.fromisoformat(clean(raw))
    offset = found.utcoffset()
    if offset is None or abs(offset) >= FARTHEST or offset % timedelta(minutes=1):
        raise ValueError("no offset")
    if not EARLIEST <= found.year <= LATEST:
        raise ValueError("no year of ours")
    return found


def not_after(told: datetime | None, received_at: datetime) -> datetime:
    """When it was said: as told, but never later than it came, or a clock that is ahead would outlast every later word."""
    return received_at if told is None else min(told, received_at)


Line = Annotated[str, BeforeValidator(line)]
Lines = Annotated[tuple[str, ...], BeforeValidator(lines)]
Scalars = Annotated[dict[str, object], BeforeValidator(scalars)]
Moment = Annotated[datetime | None, BeforeValidator(moment)]
Flag = Annotated[bool, BeforeValidator(lambda raw: clean(raw).lower() == "true" or raw in (True, 1))]
_Standing = Annotated[bool | None, BeforeValidator(standing)]


class _Email(Lenient):
    address: Line = ""
    primary: Flag = False
    status: _Standing = None


class _Phone(Lenient):
    number: Line = ""
    primary: Flag = False
    status: _Standing = None


class _Home(Lenient):
    primary: Flag = False
    address_lines: Lines = ()
    locality: Line = ""
    region: Line = ""
    postal_code: Line = ""
    country: Line = ""


class _Person(Lenient):
    given_name: Line = ""
    family_name: Line = ""
    identifiers: Lines = ()
    email_addresses: Annotated[tuple[_Email, ...], BeforeValidator(objects)] = ()
    phone_numbers: Annotated[tuple[_Phone, ...], BeforeValidator(objects)] = ()
    postal_addresses: Annotated[tuple[_Home, ...], BeforeValidator(objects)] = ()
    custom_fields: Scalars = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Introduced:
    """Someone, with her word on mail and on text messages (None: not said), and what else was told of her (JSON values)."""

    person: Person
    mail: bool | None = None
    text: bool | None = None
    detail: dict[str, object] = field(default_factory=dict)


def introduced(document: object) -> Introduced:
    """The person of an OSDI object; nobody when it is none. Never raises: whatever is untidy says nothing."""
    said = model(_Person, an_object(document))
    emails = sorted(said.email_addresses, key=lambda one: not one.primary)[:MOST_OF_A_KIND]
    usable = [(found, one.status) for one in emails if (found := email_address(one.address))]
    phones = sorted((one for one in said.phone_numbers if one.number), key=lambda one: not one.primary)
    home = next(iter(sorted(said.postal_addresses, key=lambda one: not one.primary)), _Home())
    email, phone = usable[0][0] if usable else None, phones[0].number if phones else ""
    person = Person(
        email=email, first_name=said.given_name, last_name=said.family_name, phone=phone,
        street=", ".join(home.address_lines)[:LONGEST_LINE], city=home.locality, country=home.country,
        state=state_code(home.region, home.country), zip=zip_code(home.postal_code, home.country),
    )  # fmt: skip
    more = {
        "unusable_email": emails[0].address if emails and not usable else "",
        "person_identifiers": said.identifiers,
        "custom_fields": said.custom_fields,
    }
    return Introduced(
        person,
        mail=together([status for address, status in usable if address == email]),
        text=together([one.status for one in phones if one.number == phone]),
        detail={name: value for name, value in more.items() if value},
    )
