"""ActBlue's webhook bodies: contributions, refunds, cancellations of recurring gifts.

Shapes from the vendor's documentation and published bodies of 2018-2023: `{donor, contribution, lineitems, form?}`. Every
line item is one gift. `lineitemId` is unique across recipients and instalments, `orderNumber` is that of the series;
`paidAt` (with offset) dates the money; `email` is absent when another entity manages the form.

The body does not name its kind. The URL does, when the dashboard was given one URL a kind, and it wins wherever the body
can be of that kind: a refund has `refundedAt`, a cancellation has `cancelledAt`, a gift has neither. A body that has what
the URL does not say is read as what it is, a cancellation first; so a refund is never booked as a gift. A body that lacks
what the URL says is refused: a person looks.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from engine.errors import Invalid
from engine.events import ContributionReported, Event, Person, PlanEndReported, PlanReported, RawEvent, RefundReported
from engine.sources.actblue_words import (
    ENDED_BY,
    LONGEST_ID,
    RHYTHMS,
    SOURCE,
    answer_of,
    cents_of,
    moment_of,
    payment_key,
    refunded_cents_of,
    sequence_of,
)
from engine.sources.words import (
    Ignored,
    Lenient,
    Number,
    Text,
    clean,
    email_address,
    model,
    read_json,
    zip_code,
)

CONTRIBUTION, REFUND, CANCELLATION = "contribution", "refund", "cancellation"
MARKS: Mapping[str, str] = MappingProxyType({CANCELLATION: "cancelledAt", REFUND: "refundedAt"})  # the first wins


def _object(raw: object) -> object:
    """An optional part: whatever is no object says nothing."""
    return raw if isinstance(raw, dict) else {}


def _list(raw: object) -> object:
    return raw if isinstance(raw, list) else []


def _unless_empty(raw: object) -> object:
    """A moment that may be missing; one that is there must be readable."""
    return moment_of(raw) if clean(raw) else None


def _moment_if_any(raw: object) -> datetime | None:
    try:
        return moment_of(raw)
    except ValueError:
        return None


def _cents_if_any(raw: object) -> int:
    try:
        return cents_of(raw)
    except ValueError:
        return 0


Id = Annotated[Text, Field(min_length=1, max_length=LONGEST_ID)]
OrderNumber = Annotated[Text, Field(alias="orderNumber", max_length=LONGEST_ID)]
Moment = Annotated[datetime, BeforeValidator(moment_of)]
MomentMaybe = Annotated[datetime | None, BeforeValidator(_unless_empty)]
Cents = Annotated[int, BeforeValidator(cents_of)]


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
    order_number: OrderNumber = ""
    created_at: Annotated[datetime | None, BeforeValidator(_moment_if_any)] = Field(None, alias="createdAt")
    form: Text = Field("", alias="contributionForm")
    refcode: Text = ""
    refcode2: Text = ""
    refcodes: Annotated[dict[str, Any], BeforeValidator(_object)] = Field(default_factory=dict)
    recurring_period: Text = Field("once", alias="recurringPeriod")
    recurring_duration: Text = Field("", alias="recurringDuration")
    is_recurring: Annotated[bool | None, BeforeValidator(answer_of)] = Field(None, alias="isRecurring")
    is_express: Annotated[bool | None, BeforeValidator(answer_of)] = Field(None, alias="isExpress")
    status: Text = "approved"

    def code(self, name: str) -> str:
        """A refcode: the newer object first, then the older field."""
        return clean(self.refcodes.get(name)) or str(getattr(self, name))

    def recurs(self) -> bool:
        """Whether this is an instalment of a plan. Not by `sequence`: published gifts given once have one above 0."""
        if self.recurring_period.lower() not in RHYTHMS:
            return False
        return (
            self.recurring_duration not in ("1", "1.0") if self.recurring_duration else self.is_recurring is not False
        )


class _LineItem(Lenient):
    lineitem_id: Id = Field(alias="lineitemId")
    amount: Cents
    recurring_amount: Annotated[int, BeforeValidator(_cents_if_any)] = Field(0, alias="recurringAmount")
    paid_at: Moment = Field(alias="paidAt")
    entity_id: Number = Field(0, alias="entityId")
    committee: Text = Field("", alias="committeeName")
    sequence: Annotated[int, BeforeValidator(sequence_of)] = 0


class _Gifts(Lenient):
    donor: Annotated[_Donor, BeforeValidator(_object)] = _Donor()
    contribution: _Contribution
    lineitems: list[_LineItem] = Field(min_length=1)


class _Refunded(Lenient):
    order_number: OrderNumber = ""
    refunded_at: MomentMaybe = Field(None, alias="refundedAt")


class _RefundedItem(Lenient):
    lineitem_id: Id = Field(alias="lineitemId")
    amount: Annotated[int, BeforeValidator(refunded_cents_of)]
    refunded_at: MomentMaybe = Field(None, alias="refundedAt")


class _Refunds(Lenient):
    contribution: _Refunded
    lineitems: list[_RefundedItem] = Field(min_length=1)


class _Cancelled(Lenient):
    order_number: Id = Field(alias="orderNumber")
    cancelled_at: MomentMaybe = Field(None, alias="cancelledAt")
    reason: Text = Field("", alias="cancellationReason")
    type: Text = Field("", alias="cancellationType")


class _CancelledItem(Lenient):
    cancelled_at: MomentMaybe = Field(None, alias="cancelledAt")


class _Cancellation(Lenient):
    contribution: _Cancelled
    lineitems: Annotated[list[_CancelledItem], BeforeValidator(_list)] = Field(default_factory=list)


def parse(raw: RawEvent) -> list[Event] | Ignored:
    """What one body says. Raises Invalid; the whole body is refused when one line item cannot be read."""
    document = read_json(raw.body)
    kind = kind_of(document, raw.kind)
    if kind == REFUND:
        return _refunds(raw.id, model(_Refunds, document))
    if kind == CANCELLATION:
        return [_end(raw.id, model(_Cancellation, document))]
    said = model(_Gifts, document)
    if said.contribution.status.lower() not in ("approved", ""):
        return Ignored("status is not approved: no money moved")
    return _gifts(raw.id, said)


def kind_of(document: Any, told: str) -> str:
    """Which kind of body it is; `told`: what the URL says, "" when it says nothing. The rule stands at the top."""
    marked = [kind for kind, mark in MARKS.items() if _has(document, mark)]
    if told in marked:
        return told
    if marked:
        return marked[0]
    return told if told in MARKS else CONTRIBUTION


def _has(document: Any, mark: str) -> bool:
    if not isinstance(document, dict):
        return False
    contribution, items = document.get("contribution"), document.get("lineitems")
    parts = (contribution, *(items if isinstance(items, list) else ()))
    return any(isinstance(part, dict) and part.get(mark) for part in parts)


def _gifts(cause: int, said: _Gifts) -> list[Event]:
    donor = _donor(said.donor)
    gifts: list[Event] = [_gift(cause, said.contribution, item, donor) for item in said.lineitems]
    if not said.contribution.recurs() or not said.contribution.order_number:
        return gifts
    plans: dict[int, PlanReported] = {}  # one for each who receives, over all of her line items
    for item in said.lineitems:
        plan = _plan(cause, said.contribution, item)
        there = plans.get(item.entity_id)
        plans[item.entity_id] = replace(plan, amount_cents=plan.amount_cents + there.amount_cents) if there else plan
    return [*gifts, *plans.values()]


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
        source=SOURCE,
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
        express=said.is_express is True,
        sequence=item.sequence,
        payment_key=payment_key(said.order_number, item.lineitem_id),
        plan_key=said.order_number if said.recurs() else "",
    )


def _plan(cause: int, said: _Contribution, item: _LineItem) -> PlanReported:
    """`createdAt` is taken for the start of the series: in a published instalment it lies weeks before `paidAt`."""
    return PlanReported(
        cause=cause,
        source=SOURCE,
        source_key=said.order_number,
        amount_cents=item.recurring_amount or item.amount,
        period=said.recurring_period.lower(),
        started_at=said.created_at or item.paid_at,
        told_at=item.paid_at,
        entity_id=item.entity_id,
    )


def _refunds(cause: int, said: _Refunds) -> list[Event]:
    """Of a partly refunded order only the line items that say so; all of them when only the whole order says it."""
    whole = said.contribution.refunded_at
    moments = [(item, item.refunded_at) for item in said.lineitems if item.refunded_at is not None]
    if not moments and whole is not None:
        moments = [(item, whole) for item in said.lineitems]
    if not moments:
        raise Invalid("a refund that does not say when: refundedAt")
    keys = [payment_key(said.contribution.order_number, item.lineitem_id) for item, _ in moments]
    return [
        RefundReported(cause, SOURCE, key, item.amount, refunded_at, payment_key=key)
        for key, (item, refunded_at) in zip(keys, moments, strict=True)
    ]


def _end(cause: int, said: _Cancellation) -> PlanEndReported:
    told = said.contribution
    moments = (told.cancelled_at, *(item.cancelled_at for item in said.lineitems))
    ended_at = next((moment for moment in moments if moment is not None), None)
    if ended_at is None:
        raise Invalid("a cancellation that does not say when: cancelledAt")
    ended_by = ENDED_BY.get(told.type.lower(), "other")
    return PlanEndReported(cause, SOURCE, told.order_number, ended_at, ended_by, told.reason)
