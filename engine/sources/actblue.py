"""ActBlue's webhook bodies. Contributions for now: every line item is one gift.

Shapes from the vendor's documentation and published bodies of 2018-2023: `{donor, contribution, lineitems, form?}`. The
body does not name its kind: `cancelledAt` means a cancellation, `refundedAt` a refund. `lineitemId` is unique across
recipients and instalments; `paidAt` (with offset) dates the money; `email` is absent when another entity manages the form.
"""

from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from engine.errors import Invalid
from engine.events import ContributionReported, Event, Person, RawEvent
from engine.money import cents
from engine.sources.words import (
    Ignored,
    Lenient,
    Number,
    Text,
    clean,
    email_address,
    model,
    number,
    read_json,
    zip_code,
)

EARLIEST, LATEST = 2004, 2099  # ActBlue's first year; beyond the other lies a typing error
FARTHEST = timedelta(hours=16)  # Postgres knows no offset as large


def _moment(raw: object) -> datetime:
    try:
        moment = datetime.fromisoformat(clean(raw))
    except ValueError:
        raise ValueError("not a date") from None
    offset = moment.utcoffset()
    if offset is None:
        raise ValueError("no offset")
    if abs(offset) >= FARTHEST or offset % timedelta(minutes=1):
        raise ValueError("no offset on earth")
    if not EARLIEST <= moment.year <= LATEST:
        raise ValueError("no year of ours")
    return moment


def _cents(raw: object) -> int:
    try:
        amount = cents(str(raw).strip() if isinstance(raw, str | int) else "")
    except Invalid as error:
        raise ValueError(str(error)) from None
    if amount == 0:
        raise ValueError("no money")
    return amount


def _object(raw: object) -> object:
    """An optional part: whatever is no object says nothing."""
    return raw if isinstance(raw, dict) else {}


def _sequence(raw: object) -> int:
    """Which instalment; 0 for a number that no column of ours holds."""
    count = number(raw)
    return count if count < 2**31 else 0


LONGEST_ID = 64  # theirs have nine digits; far more would not fit the index on it

Moment = Annotated[datetime, BeforeValidator(_moment)]
Cents = Annotated[int, BeforeValidator(_cents)]


class _Employer(Lenient):
    employer: Text = ""
    occupation: Text = ""


class _Donor(Lenient):
    firstname: Text = ""
    lastname: Text = ""
    addr1: Text = ""
    city: Text = ""
    state: Text = ""
    zip: Text = ""
    country: Text = ""
    email: Text = ""
    phone: Text = ""
    employer_data: Annotated[_Employer, BeforeValidator(_object)] = Field(_Employer(), alias="employerData")


class _Contribution(Lenient):
    order_number: Text = Field("", alias="orderNumber")
    form: Text = Field("", alias="contributionForm")
    refcode: Text = ""
    refcode2: Text = ""
    refcodes: Annotated[dict[str, Any], BeforeValidator(_object)] = Field(default_factory=dict)
    recurring_period: Text = Field("once", alias="recurringPeriod")
    status: Text = "approved"

    def code(self, name: str) -> str:
        """A refcode: the newer object first, then the older field."""
        return clean(self.refcodes.get(name)) or str(getattr(self, name))


class _LineItem(Lenient):
    lineitem_id: Annotated[Text, Field(alias="lineitemId", min_length=1, max_length=LONGEST_ID)]
    amount: Cents
    paid_at: Moment = Field(alias="paidAt")
    entity_id: Number = Field(0, alias="entityId")
    committee: Text = Field("", alias="committeeName")
    sequence: Annotated[int, BeforeValidator(_sequence)] = 0


class _Body(Lenient):
    donor: Annotated[_Donor, BeforeValidator(_object)] = _Donor()
    contribution: _Contribution
    lineitems: list[_LineItem] = Field(min_length=1)


def parse(raw: RawEvent) -> list[Event] | Ignored:
    """The gifts of one body. Raises Invalid; the whole body is refused when one line item cannot be read."""
    document = read_json(raw.body)
    if found := _other_kind(document):
        raise Invalid(f"a {found}: this version books contributions only")
    parsed = model(_Body, document)
    if parsed.contribution.status.lower() not in ("approved", ""):
        return Ignored("status is not approved: no money moved")
    donor = _donor(parsed.donor)
    return [_gift(raw.id, parsed.contribution, item, donor) for item in parsed.lineitems]


def _other_kind(document: Any) -> str | None:
    if not isinstance(document, dict):
        return None
    contribution, items = document.get("contribution"), document.get("lineitems")
    parts = [part for part in (contribution, *(items if isinstance(items, list) else ())) if isinstance(part, dict)]
    if any(part.get("cancelledAt") for part in parts):
        return "cancellation"
    return "refund" if any(part.get("refundedAt") for part in parts) else None


def _donor(said: _Donor) -> Person:
    return Person(
        email=email_address(said.email),
        first_name=said.firstname,
        last_name=said.lastname,
        street=said.addr1,
        city=said.city,
        state=said.state,
        zip=zip_code(said.zip, said.country),
        country=said.country,
        phone=said.phone,
        employer=said.employer_data.employer,
        occupation=said.employer_data.occupation,
    )


def _gift(cause: int, said: _Contribution, item: _LineItem, donor: Person) -> ContributionReported:
    return ContributionReported(
        cause=cause,
        source="actblue",
        source_key=item.lineitem_id,
        amount_cents=item.amount,
        paid_at=item.paid_at,
        donor=donor,
        order_number=said.order_number,
        form_slug=said.form,
        refcode=said.code("refcode"),
        refcode2=said.code("refcode2"),
        entity_id=item.entity_id or None,
        entity_name=item.committee,
        recurring_period=said.recurring_period or "once",
        sequence=item.sequence,
    )
