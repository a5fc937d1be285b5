"""Stripe's small words: ids, amounts, currencies, moments, people; and the objects that carry them.

Money and what it is booked under are read strictly (an amount that is no whole number refuses the event), all else
leniently. An id may come as the object it names ("expanded"), a list as {"data": [...]}.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from engine.events import Event, Person
from engine.money import CURRENCIES
from engine.sources.words import Ignored, Lenient, Text, clean, email_address, number, zip_code

SOURCE = "stripe"
CHECKOUT = "checkout"  # the name in metadata of the word that only we and the processor know of a checkout of ours
MONTHLY = "monthly"  # what a plan is when nothing says its rhythm
LONGEST_KEY = 255  # as Stripe promises of its ids
MOST = 2**53  # beyond it lies no money, and no JavaScript could have told it exactly
EARLIEST = int(datetime(2011, 1, 1, tzinfo=UTC).timestamp())  # Stripe's first year
LATEST = int(datetime(2099, 1, 1, tzinfo=UTC).timestamp())

Said = list[Event] | Ignored


@dataclass(frozen=True, slots=True)
class Told:
    """One event of Stripe's: the raw event's id, its type and time, and the object as it stood then. `account`: the
    connected account that it happened in, "" our own."""

    cause: int
    type: str
    at: datetime
    object: Mapping[str, Any]
    account: str = ""


@dataclass(frozen=True, slots=True)
class Codes:
    """Which form asked, what brought the donor there, and under which checkout of ours (its word) she gave."""

    form_slug: str
    refcode: str
    refcode2: str
    checkout: str = ""


def part(raw: object) -> object:
    """An optional object, raw or read already: whatever is none says nothing."""
    return raw if isinstance(raw, dict | Lenient) else {}


def listed(raw: object) -> list[Any]:
    """The objects of a list, Stripe's or a plain one; anything else in it says nothing."""
    items = raw.get("data") if isinstance(raw, dict) else raw
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _key(raw: object) -> str:
    if isinstance(raw, dict):
        raw = raw.get("id")
    if raw is not None and not isinstance(raw, str):
        raise ValueError("no id")
    key = clean(raw)
    if len(key) > LONGEST_KEY:
        raise ValueError("too long for an id")
    return key


def _whole(raw: object) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int) or not 0 <= raw <= MOST:
        raise ValueError("no amount")
    return raw


def _cents(raw: object) -> int:
    if (amount := _whole(raw)) == 0:
        raise ValueError("no money")
    return amount


def _currency(raw: object) -> str:
    if (code := clean(raw).lower()) not in CURRENCIES:
        raise ValueError("no currency")
    return code


def _moment(raw: object) -> datetime:
    if isinstance(raw, bool) or not isinstance(raw, int) or not EARLIEST <= raw < LATEST:
        raise ValueError("no moment of ours")
    return datetime.fromtimestamp(raw, UTC)


def _maybe(reads: Any) -> BeforeValidator:
    return BeforeValidator(lambda raw: None if raw is None else reads(raw))


Key = Annotated[str, BeforeValidator(_key), Field(min_length=1)]  # an object's own id
Link = Annotated[str, BeforeValidator(_key)]  # the id of another object; "" when there is none
Cents = Annotated[int, BeforeValidator(_cents)]
MaybeCents = Annotated[int | None, _maybe(_cents)]
MaybeWhole = Annotated[int | None, _maybe(_whole)]  # an amount that may be nothing
Currency = Annotated[str, BeforeValidator(_currency)]
MaybeCurrency = Annotated[str | None, _maybe(_currency)]
Moment = Annotated[datetime, BeforeValidator(_moment)]
MaybeMoment = Annotated[datetime | None, _maybe(_moment)]
Metadata = Annotated[dict[str, Any], BeforeValidator(part)]


class Address(Lenient):
    """Where somebody lives, in Stripe's fields."""

    line1: Text = ""
    line2: Text = ""
    city: Text = ""
    state: Text = ""
    postal_code: Text = ""
    country: Text = ""


class Details(Lenient):
    """Somebody: billing details, shipping, a checkout's customer details."""

    email: Text = ""
    name: Text = ""
    phone: Text = ""
    address: Annotated[Address, BeforeValidator(part)] = Address()


MaybeDetails = Annotated[Details, BeforeValidator(part)]


class Recurring(Lenient):
    """How often: every `interval_count` of `interval`."""

    interval: Text = ""
    interval_count: Annotated[int, BeforeValidator(number)] = 0


class Price(Lenient):
    """What one unit costs, as a price (`unit_amount`, `recurring`) or as a plan of old (`amount`, `interval`)."""

    unit_amount: MaybeWhole = None
    amount: MaybeWhole = None
    currency: MaybeCurrency = None
    recurring: Annotated[Recurring, BeforeValidator(part)] = Recurring()
    interval: Text = ""
    interval_count: Annotated[int, BeforeValidator(number)] = 0

    @property
    def period(self) -> str:
        """In our word; empty when it does not say."""
        told = self.recurring if self.recurring.interval else self
        return period(told.interval, told.interval_count)


MaybePrice = Annotated[Price, BeforeValidator(part)]

_PERIODS = {("day", 1): "daily", ("week", 1): "weekly", ("month", 1): "monthly", ("month", 3): "quarterly",
            ("year", 1): "yearly", ("month", 12): "yearly"}  # fmt: skip


def period(unit: str, count: int) -> str:
    """Our word for an interval: ("month", 3) -> "quarterly", ("week", 2) -> "every 2 weeks"; empty for no interval."""
    count = count or 1
    if unit not in ("day", "week", "month", "year") or count > 1000:
        return ""
    return _PERIODS.get((unit, count), f"every {count} {unit}s")


def person(known: Sequence[Details], metadata: Mapping[str, Any]) -> Person:
    """One donor of all that is said of her, the nearest first. Her address is one address, never two mixed."""
    first, last = _names(_first(details.name for details in known))
    address = _address([details.address for details in known])
    return Person(
        email=next(filter(None, (email_address(details.email) for details in known if details.email)), None),
        first_name=first,
        last_name=last,
        street=", ".join(filter(None, (address.line1, address.line2))),
        city=address.city,
        state=address.state,
        zip=zip_code(address.postal_code, address.country),
        country=address.country,
        phone=_first(details.phone for details in known),
        employer=clean(metadata.get("employer")),
        occupation=clean(metadata.get("occupation")),
    )


def form_and_codes(*metadata: Mapping[str, Any]) -> Codes:
    """What a form of ours wrote beside a payment: the nearest that says something wins."""
    return Codes(
        form_slug=_first(clean(said.get(name)) for said in metadata for name in ("form_slug", "form")),
        refcode=_first(clean(said.get("refcode")) for said in metadata),
        refcode2=_first(clean(said.get("refcode2")) for said in metadata),
        checkout=_first(clean(said.get(CHECKOUT))[:LONGEST_KEY] for said in metadata),
    )


def _first(words: Iterable[str]) -> str:
    return next(filter(None, words), "")


def _names(name: str) -> tuple[str, str]:
    """Stripe knows one name: its last word is taken for the family's."""
    first, _, last = name.rpartition(" ")
    return (first.strip(), last) if first.strip() else (last, "")


def _address(known: Sequence[Address]) -> Address:
    for told in ("line1", "postal_code", "country"):
        for address in known:
            if getattr(address, told):
                return address
    return Address()
