"""Stripe's invoices: the instalments of plans, and what pays them.

Before 2025-03-31 an invoice names its subscription, charge and PaymentIntent itself; since then the first stands under
`parent`, the last under `payments` when the body holds them, and `invoice_payment.paid` tells the link.
"""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from engine.errors import Invalid
from engine.events import ContributionReported, DeclineReported, Event, PaymentLinked, PlanPaymentFailed, PlanReported
from engine.sources.stripe_words import (
    MONTHLY,
    MOST,
    SOURCE,
    Address,
    Currency,
    Details,
    Key,
    Link,
    MaybeMoment,
    MaybePrice,
    MaybeWhole,
    Metadata,
    Price,
    Said,
    Told,
    form_and_codes,
    listed,
    part,
    person,
)
from engine.sources.words import Ignored, Lenient, Number, Text, model

BEGINNING = "subscription_create"  # why the first invoice of a plan was made

# Days that a line may pay for, least and most, and what that makes the plan: the newer shape names no interval.
_SPANS = ((1, 1, "daily"), (6, 7, "weekly"), (28, 31, "monthly"), (89, 92, "quarterly"), (364, 366, "yearly"))


class _SubscriptionDetails(Lenient):
    subscription: Link = ""
    metadata: Metadata = Field(default_factory=dict)


MaybeSubscription = Annotated[_SubscriptionDetails, BeforeValidator(part)]


class _Parent(Lenient):
    subscription_details: MaybeSubscription = Field(default_factory=_SubscriptionDetails)
    subscription_item_details: MaybeSubscription = Field(default_factory=_SubscriptionDetails)


MaybeParent = Annotated[_Parent, BeforeValidator(part)]


class _Span(Lenient):
    start: MaybeMoment = None
    end: MaybeMoment = None

    @property
    def rhythm(self) -> str:
        """Our word for how long it is; empty when there is none."""
        days = (self.end - self.start).days if self.start and self.end else 0
        return next((word for least, most, word in _SPANS if least <= days <= most), "")


class _Line(Lenient):
    amount: Any = None
    proration: Any = None
    subscription: Link = ""
    price: MaybePrice = Price()
    plan: MaybePrice = Price()
    parent: MaybeParent = Field(default_factory=_Parent)
    pays_for: Annotated[_Span, BeforeValidator(part)] = Field(_Span(), alias="period")

    @property
    def period(self) -> str:
        """Our word for the interval it names; empty when it names none."""
        return self.price.period or self.plan.period

    @property
    def promised(self) -> int:
        """Minor units that this line asks for every time; 0 for what is asked for once."""
        steady = self.period and not self.proration
        whole = isinstance(self.amount, int) and not isinstance(self.amount, bool) and 0 < self.amount <= MOST
        return self.amount if steady and whole else 0


class _Means(Lenient):
    payment_intent: Link = ""
    charge: Link = ""


MaybeMeans = Annotated[_Means, BeforeValidator(part)]


class _InvoicePayment(Lenient):
    invoice: Link = ""
    status: Text = ""
    payment: MaybeMeans = _Means()


class _Transitions(Lenient):
    paid_at: MaybeMoment = None


class _Invoice(Lenient):
    id: Key
    amount_paid: MaybeWhole = None
    attempt_count: Number = 0
    currency: Currency
    created: MaybeMoment = None
    billing_reason: Text = ""
    subscription: Link = ""
    charge: Link = ""
    payment_intent: Link = ""
    payments: Annotated[list[_InvoicePayment], BeforeValidator(listed)] = Field(default_factory=list)
    parent: MaybeParent = Field(default_factory=_Parent)
    subscription_details: MaybeSubscription = Field(default_factory=_SubscriptionDetails)
    status_transitions: Annotated[_Transitions, BeforeValidator(part)] = _Transitions()
    lines: Annotated[list[_Line], BeforeValidator(listed)] = Field(default_factory=list)
    customer_email: Text = ""
    customer_name: Text = ""
    customer_phone: Text = ""
    customer_address: Annotated[Address, BeforeValidator(part)] = Address()
    metadata: Metadata = Field(default_factory=dict)

    @property
    def plan_key(self) -> str:
        """The subscription, wherever the body names it; empty for an invoice of its own."""
        lines = (key for line in self.lines for key in (line.subscription, _item(line.parent)))
        named = (self.subscription, self.parent.subscription_details.subscription, *lines)
        return next(filter(None, named), "")

    @property
    def period(self) -> str:
        """Our word for the rhythm of its lines; empty when none says."""
        return next((line.period for line in self.lines if line.period), "")

    @property
    def rhythm(self) -> str:
        """How often its plan gives: as a line says, or else by the time that a line pays for."""
        spans = (line.pays_for.rhythm for line in self.lines)
        return self.period or next(filter(None, spans), MONTHLY)

    @property
    def means(self) -> _Means:
        """What paid it, as far as the body tells."""
        if self.payment_intent or self.charge:
            return _Means(payment_intent=self.payment_intent, charge=self.charge)
        return next((paid.payment for paid in self.payments if paid.status in ("paid", "")), _Means())

    @property
    def words(self) -> tuple[dict[str, Any], ...]:
        """What our forms wrote beside it, the nearest first."""
        return self.subscription_details.metadata, self.parent.subscription_details.metadata, self.metadata


def paid(told: Told) -> Said:
    """invoice.paid: an instalment (or a gift of its own), and how its plan stood when the invoice was drawn."""
    said = model(_Invoice, told.object)
    if said.amount_paid is None:
        raise Invalid("not understood: amount_paid")
    if said.amount_paid == 0:
        return Ignored("an invoice that took no money: a trial or a credit")
    gift = _gift(told, said, said.amount_paid)
    return [gift, *_plan(told, said)]


def failed(told: Told) -> Said:
    """invoice.payment_failed, .payment_action_required: one attempt at an instalment that took nothing. At the first one of
    a plan that is a card which was declined on a page of ours."""
    said = model(_Invoice, told.object)
    if not said.plan_key:
        return Ignored("an invoice of no plan: no money moved")
    attempt = f"{said.id}:{said.attempt_count}"
    codes = form_and_codes(*said.words)
    failed: list[Event] = [PlanPaymentFailed(told.cause, SOURCE, attempt, said.plan_key, told.at)]
    if codes.form_slug and said.billing_reason == BEGINNING and told.type == "invoice.payment_failed":
        tried = f"{attempt}:{int(told.at.timestamp())}"  # several cards, one after the other: Stripe counts them as one
        failed.append(DeclineReported(told.cause, SOURCE, tried, told.at, codes.form_slug, codes.checkout))
    return failed


def linked(told: Told) -> Said:
    """invoice_payment.paid: which PaymentIntent paid an invoice."""
    said = model(_InvoicePayment, told.object)
    if not (said.invoice and said.payment.payment_intent):
        return Ignored("an invoice paid by other means than a PaymentIntent")
    return [PaymentLinked(told.cause, SOURCE, said.invoice, said.payment.payment_intent)]


def _gift(told: Told, said: _Invoice, amount: int) -> ContributionReported:
    known = Details(
        email=said.customer_email, name=said.customer_name, phone=said.customer_phone, address=said.customer_address
    )
    codes = form_and_codes(*said.words)
    words = {name: value for metadata in reversed(said.words) for name, value in metadata.items()}
    return ContributionReported(
        cause=told.cause,
        source=SOURCE,
        source_key=said.id,
        amount_cents=amount,
        currency=said.currency,
        paid_at=said.status_transitions.paid_at or said.created or told.at,
        donor=person([known], words),
        recurring_period=said.rhythm if said.plan_key else "once",
        sequence=1 if said.plan_key and said.billing_reason != BEGINNING else 0,
        payment_key=said.means.payment_intent,
        charge_key=said.means.charge,
        plan_key=said.plan_key,
        form_slug=codes.form_slug,
        refcode=codes.refcode,
        refcode2=codes.refcode2,
        account=told.account,
        checkout=codes.checkout,
    )


def _plan(told: Told, said: _Invoice) -> list[Event]:
    """Told as of the drawing of the invoice: a word of its subscription that came between must win."""
    amount = sum(line.promised for line in said.lines)
    if not (said.plan_key and said.period and 0 < amount <= MOST):
        return []
    at = said.created or told.at
    return [
        PlanReported(
            told.cause, SOURCE, said.plan_key, amount, said.period, at, at, currency=said.currency, account=told.account
        )
    ]


def _item(parent: _Parent) -> str:
    return parent.subscription_item_details.subscription
