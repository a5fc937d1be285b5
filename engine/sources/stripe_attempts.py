"""What came to nothing on a page of ours: declined cards, checkouts that were left. No money moved.

One declined card is told as a charge and as its PaymentIntent: the attempt is known by the charge, or where there was none
by the PaymentIntent and the second. Instalments are told by their invoices (`stripe_invoices`).
"""

from typing import Annotated

from pydantic import BeforeValidator, Field

from engine.events import CheckoutEndReported, DeclineReported
from engine.sources.stripe_words import SOURCE, Key, Link, Metadata, Said, Told, form_and_codes, part
from engine.sources.words import Ignored, Lenient, Text, model

NOT_OURS = Ignored("a payment that failed, by no form of ours: no money moved")
LEFT = Ignored("a checkout that was left: no money moved")


class _Order(Lenient):
    order_reference: Text = ""


class _Reason(Lenient):
    charge: Link = ""


class _Attempt(Lenient):
    id: Key
    invoice: Link = ""
    last_payment_error: Annotated[_Reason, BeforeValidator(part)] = _Reason()
    payment_details: Annotated[_Order, BeforeValidator(part)] = _Order()
    metadata: Metadata = Field(default_factory=dict)

    @property
    def instalment(self) -> bool:
        """Whether an invoice tells it."""
        return bool(self.invoice) or self.payment_details.order_reference.startswith("in_")


class _Left(Lenient):
    id: Key
    metadata: Metadata = Field(default_factory=dict)


def declined_payment(told: Told) -> Said:
    """payment_intent.payment_failed: a declined card, if a form of ours asked."""
    said = model(_Attempt, told.object)
    charge = said.last_payment_error.charge
    return _declined(told, said, charge or f"{said.id}:{int(told.at.timestamp())}")


def declined_charge(told: Told) -> Said:
    """charge.failed: the same attempt."""
    said = model(_Attempt, told.object)
    return _declined(told, said, said.id)


def left(told: Told) -> Said:
    """checkout.session.expired: nobody paid, and nobody can any more."""
    said = model(_Left, told.object)
    word = form_and_codes(said.metadata).checkout
    return [CheckoutEndReported(told.cause, SOURCE, said.id, told.at, word)] if word else LEFT


def _declined(told: Told, said: _Attempt, attempt: str) -> Said:
    if said.instalment:
        return Ignored("an attempt at an instalment: told by its invoice")
    codes = form_and_codes(said.metadata)
    if not codes.form_slug:
        return NOT_OURS
    return [DeclineReported(told.cause, SOURCE, attempt, told.at, codes.form_slug, codes.checkout)]
