"""Stripe's payments: PaymentIntents, checkouts, refunds, disputes, early fraud warnings.

A one-off gift is its PaymentIntent, an instalment its invoice (`stripe_invoices`): before 2025-03-31 a PaymentIntent says
that it pays an invoice, since then it may not, and booking joins the two. A refund or a dispute points at the charge, the
PaymentIntent, or both.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from engine.errors import Invalid
from engine.events import (
    CheckoutReported,
    ContributionReported,
    DisputeReported,
    Event,
    FraudWarningReported,
    RefundReported,
    RefundTotalReported,
)
from engine.sources.stripe_words import (
    SOURCE,
    Cents,
    Currency,
    Details,
    Key,
    Link,
    MaybeCents,
    MaybeDetails,
    MaybeMoment,
    Metadata,
    Said,
    Told,
    form_and_codes,
    listed,
    part,
    person,
)
from engine.sources.words import Ignored, Lenient, Text, clean, model


class _Charge(Lenient):
    id: Link = ""
    created: MaybeMoment = None
    status: Text = ""
    billing_details: MaybeDetails = Details()


class _Order(Lenient):
    order_reference: Text = ""


class _PaymentIntent(Lenient):
    id: Key
    amount: MaybeCents = None
    amount_received: MaybeCents = None
    currency: Currency
    invoice: Link = ""
    payment_details: Annotated[_Order, BeforeValidator(part)] = _Order()
    charges: Annotated[list[_Charge], BeforeValidator(listed)] = Field(default_factory=list)
    latest_charge: Any = None
    receipt_email: Text = ""
    shipping: MaybeDetails = Details()
    metadata: Metadata = Field(default_factory=dict)

    def charge(self) -> _Charge:
        """The charge that took the money: listed of old, then named beside the list, since then named or whole."""
        if isinstance(self.latest_charge, dict):
            return model(_Charge, self.latest_charge)
        if self.latest_charge:
            named = model(_Charge, {"id": self.latest_charge})
            return next((charge for charge in self.charges if charge.id == named.id), named)
        return next((charge for charge in self.charges if charge.status == "succeeded"), (*self.charges, _Charge())[0])


class _Session(Lenient):
    id: Key
    payment_status: Text = ""
    payment_intent: Link = ""
    subscription: Link = ""
    client_reference_id: Text = ""
    customer_email: Text = ""
    customer_details: MaybeDetails = Details()
    shipping: MaybeDetails = Details()
    shipping_details: MaybeDetails = Details()
    custom_fields: Annotated[list[dict[str, Any]], BeforeValidator(listed)] = Field(default_factory=list)
    metadata: Metadata = Field(default_factory=dict)

    def answers(self) -> dict[str, Any]:
        """What the donor typed into the checkout's own fields (employer, occupation), by their names."""
        found = {}
        for field in self.custom_fields:
            said = field.get(clean(field.get("type")) or "text")
            found[clean(field.get("key"))] = said.get("value") if isinstance(said, dict) else None
        return found


class _Refund(Lenient):
    id: Key
    amount: Cents
    currency: Currency
    created: MaybeMoment = None
    status: Text = ""
    charge: Link = ""
    payment_intent: Link = ""


class _RefundedCharge(Lenient):
    id: Key
    amount_refunded: MaybeCents = None
    currency: Currency
    payment_intent: Link = ""
    refunds: Annotated[list[dict[str, Any]], BeforeValidator(listed)] = Field(default_factory=list)


class _Dispute(Lenient):
    id: Key
    amount: Cents
    currency: Currency
    created: MaybeMoment = None
    status: Text = ""
    reason: Text = ""
    charge: Link = ""
    payment_intent: Link = ""
    balance_transactions: Annotated[list[dict[str, Any]], BeforeValidator(listed)] = Field(default_factory=list)


class _Movement(Lenient):
    created: MaybeMoment = None


class _Warning(Lenient):
    id: Key
    created: MaybeMoment = None
    charge: Link = ""
    payment_intent: Link = ""


class _LoneCharge(Lenient):
    payment_intent: Link = ""
    invoice: Link = ""


def payment(told: Told) -> Said:
    """payment_intent.succeeded: a gift, unless it pays an invoice."""
    said = model(_PaymentIntent, told.object)
    if said.invoice or said.payment_details.order_reference.startswith("in_"):
        return Ignored("an instalment: booked by its invoice")
    amount = said.amount_received or said.amount
    if amount is None:
        raise Invalid("not understood: amount")
    charge, codes = said.charge(), form_and_codes(said.metadata)
    receipt = Details(email=said.receipt_email)
    return [
        ContributionReported(
            cause=told.cause,
            source=SOURCE,
            source_key=said.id,
            amount_cents=amount,
            currency=said.currency,
            paid_at=charge.created or told.at,
            donor=person([receipt, charge.billing_details, said.shipping], said.metadata),
            payment_key=said.id,
            charge_key=charge.id,
            form_slug=codes.form_slug,
            refcode=codes.refcode,
            refcode2=codes.refcode2,
            account=told.account,
            checkout=codes.checkout,
        )
    ]


def lone_charge(told: Told) -> Said:
    """charge.succeeded: told by its PaymentIntent or invoice; one that has neither we cannot book, and staff must know."""
    said = model(_LoneCharge, told.object)
    if said.payment_intent or said.invoice:
        return Ignored("told by its payment")
    return Ignored("a charge without a PaymentIntent is not booked: its maker should use PaymentIntents", tell=True)


def checkout(told: Told) -> Said:
    """checkout.session.completed, .async_payment_succeeded: the donor's words, once the money is there."""
    said = model(_Session, told.object)
    if said.payment_status in ("unpaid", "no_payment_required"):
        return Ignored("a checkout whose money is not there (yet)")
    if not (said.payment_intent or said.subscription):
        return Ignored("a checkout without a payment")
    codes = form_and_codes(said.metadata)
    known = [said.customer_details, Details(email=said.customer_email), said.shipping_details, said.shipping]
    return [
        CheckoutReported(
            cause=told.cause,
            source=SOURCE,
            source_key=said.id,
            completed_at=told.at,
            donor=person(known, said.answers() | said.metadata),
            payment_key=said.payment_intent,
            plan_key=said.subscription,
            form_slug=codes.form_slug,
            refcode=codes.refcode or said.client_reference_id,
            refcode2=codes.refcode2,
            checkout=codes.checkout,
        )
    ]


def refunded_charge(told: Told) -> Said:
    """charge.refunded: the refunds it lists, or else how much has gone back in all."""
    said = model(_RefundedCharge, told.object)
    links = {"charge": said.id, "payment_intent": said.payment_intent, "currency": said.currency}
    listed: list[Event] = [_refund(told, model(_Refund, links | _told_only(refund))) for refund in said.refunds or ()]
    refunds = told.object.get("refunds")
    if listed and not (isinstance(refunds, dict) and refunds.get("has_more")):  # the list may be cut short
        return listed
    if said.amount_refunded is None:
        raise Invalid("not understood: amount_refunded")
    return [
        *listed,
        RefundTotalReported(
            cause=told.cause,
            source=SOURCE,
            source_key=said.id,
            amount_cents=said.amount_refunded,
            currency=said.currency,
            refunded_at=told.at,
            payment_key=said.payment_intent,
            charge_key=said.id,
        ),
    ]


def refund(told: Told) -> Said:
    """refund.*, charge.refund.updated: one refund as it stands."""
    said = model(_Refund, told.object)
    if not (said.charge or said.payment_intent):
        return Ignored("a refund of a customer's balance, not of a payment")
    return [_refund(told, said)]


def _refund(told: Told, said: _Refund) -> RefundReported:
    """Pending counts as gone: the balance was debited when the refund was made."""
    return RefundReported(
        cause=told.cause,
        source=SOURCE,
        source_key=said.id,
        amount_cents=said.amount,
        currency=said.currency,
        refunded_at=said.created or told.at,
        state="failed" if said.status in ("failed", "canceled") or told.type == "refund.failed" else "succeeded",
        payment_key=said.payment_intent,
        charge_key=said.charge,
    )


DISPUTES: dict[str, Literal["inquiry", "closed", "open", "won", "lost"]] = {
    "warning_needs_response": "inquiry",
    "warning_under_review": "inquiry",
    "warning_closed": "closed",
    "prevented": "closed",
    "needs_response": "open",
    "under_review": "open",
    "won": "won",
    "lost": "lost",
}


def dispute(told: Told) -> Said:
    """charge.dispute.*: how a dispute stands, by its own status, whichever event tells it."""
    said = model(_Dispute, told.object)
    if said.status not in DISPUTES:
        raise Invalid("not understood: status")
    state = DISPUTES[said.status]
    settled_at = None if state in ("inquiry", "open") else told.at
    if state == "won":
        back = [model(_Movement, moved).created for moved in said.balance_transactions if _came_back(moved)]
        settled_at = max(filter(None, back), default=told.at)
    return [
        DisputeReported(
            cause=told.cause,
            source=SOURCE,
            source_key=said.id,
            amount_cents=said.amount,
            currency=said.currency,
            opened_at=said.created or told.at,
            state=state,
            settled_at=settled_at,
            reason=said.reason,
            payment_key=said.payment_intent,
            charge_key=said.charge,
        )
    ]


def fraud_warning(told: Told) -> Said:
    """radar.early_fraud_warning.*: the network believes a payment to be fraud."""
    said = model(_Warning, told.object)
    return [
        FraudWarningReported(
            cause=told.cause,
            source=SOURCE,
            source_key=said.id,
            warned_at=said.created or told.at,
            payment_key=said.payment_intent,
            charge_key=said.charge,
            account=told.account,
        )
    ]


def _came_back(moved: dict[str, Any]) -> bool:
    amount = moved.get("amount")
    return isinstance(amount, int) and amount > 0


def _told_only(said: dict[str, Any]) -> dict[str, Any]:
    """What is not null: the charge that lists a refund says the rest."""
    return {name: value for name, value in said.items() if value is not None}
