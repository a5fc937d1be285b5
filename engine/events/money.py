"""Money: gifts, plans, refunds, disputes, warnings; first as outsiders tell them, then as they stand on the books.

`payment_key` and `charge_key` are what refunds, disputes and warnings point at: ActBlue's "order/line item"; Stripe's
PaymentIntent and charge. `plan_key` is the recurring plan's id at the source.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

from engine.events.root import Event, Person


@dataclass(frozen=True, slots=True)
class ContributionReported(Event):
    """Money was given. `source_key`: the source's id of the gift. `paid_at` is aware and keeps the source's own offset.

    `sequence` counts instalments from 0. `amount_cents` is in the currency's minor units, at least 1. `express`: the donor
    has saved a card at ActBlue. `account`: the connected account that it went to, "" our own. `checkout`: the word of the
    checkout of ours by which it was given, or its plan begun; `language`: that of its page, of an instalment after the
    first "".
    """

    source: str
    source_key: str
    amount_cents: int
    paid_at: datetime
    donor: Person
    currency: str = "usd"
    order_number: str = ""
    form_slug: str = ""
    refcode: str = ""
    refcode2: str = ""
    entity_id: int | None = None
    entity_name: str = ""
    recurring_period: str = "once"
    sequence: int = 0
    payment_key: str = ""
    charge_key: str = ""
    plan_key: str = ""
    express: bool = False
    account: str = ""
    checkout: str = ""
    language: str = ""


@dataclass(frozen=True, slots=True)
class CheckoutReported(Event):
    """A donor finished a checkout and the money is there or on its way: her words, for a gift told without them.
    `checkout`: the word of the checkout of ours that it was opened for; `typed`: they are what she wrote there; `language`:
    that of its page."""

    source: str
    source_key: str
    completed_at: datetime
    donor: Person
    payment_key: str = ""
    plan_key: str = ""
    form_slug: str = ""
    refcode: str = ""
    refcode2: str = ""
    checkout: str = ""
    typed: bool = False
    language: str = ""


@dataclass(frozen=True, slots=True)
class CheckoutEndReported(Event):
    """The processor's page for a checkout of ours is over, and nobody paid on it."""

    source: str
    source_key: str
    ended_at: datetime
    checkout: str


@dataclass(frozen=True, slots=True)
class DeclineReported(Event):
    """A card was declined when somebody tried to give by this form (`source_key`: the attempt's id), on the page of this
    checkout of ours if its word is told. No money moved."""

    source: str
    source_key: str
    declined_at: datetime
    form_slug: str
    checkout: str = ""


@dataclass(frozen=True, slots=True)
class PaymentLinked(Event):
    """The instalment `source_key` was paid by this payment: for sources that tell it apart from both."""

    source: str
    source_key: str
    payment_key: str


@dataclass(frozen=True, slots=True)
class RefundReported(Event):
    """Money of one payment went back, or tried to. `refunded_at` is when the refund was made, whatever became of it."""

    source: str
    source_key: str
    amount_cents: int
    refunded_at: datetime
    state: Literal["succeeded", "failed"] = "succeeded"
    currency: str = "usd"
    payment_key: str = ""
    charge_key: str = ""


@dataclass(frozen=True, slots=True)
class RefundTotalReported(Event):
    """So much of one payment (`source_key`: the charge) has gone back in all, without a word on the single refunds."""

    source: str
    source_key: str
    amount_cents: int
    refunded_at: datetime
    currency: str = "usd"
    payment_key: str = ""
    charge_key: str = ""


@dataclass(frozen=True, slots=True)
class DisputeReported(Event):
    """The donor's bank asks about a payment (inquiry, closed: no money moved) or takes it back (open, won, lost)."""

    source: str
    source_key: str
    amount_cents: int
    opened_at: datetime
    state: Literal["inquiry", "closed", "open", "won", "lost"]
    settled_at: datetime | None = None
    reason: str = ""
    currency: str = "usd"
    payment_key: str = ""
    charge_key: str = ""


@dataclass(frozen=True, slots=True)
class FraudWarningReported(Event):
    """The card's network believes that a payment is fraud, before any dispute. `account`: as in ContributionReported."""

    source: str
    source_key: str
    warned_at: datetime
    payment_key: str = ""
    charge_key: str = ""
    account: str = ""


@dataclass(frozen=True, slots=True)
class PlanReported(Event):
    """How a recurring plan stands, as of `told_at`. `entity_id`: who receives, when one plan serves several (0: one).
    `paused_until`: when a pause ends by itself, if it says so. `account`: as in ContributionReported."""

    source: str
    source_key: str
    amount_cents: int
    period: str
    started_at: datetime
    told_at: datetime
    entity_id: int = 0
    currency: str = "usd"
    paused: bool = False
    paused_until: datetime | None = None
    account: str = ""


@dataclass(frozen=True, slots=True)
class PlanPaymentFailed(Event):
    """An instalment could not be taken (`source_key`: its id, and which attempt). The plan goes on for now."""

    source: str
    source_key: str
    plan_key: str
    failed_at: datetime


@dataclass(frozen=True, slots=True)
class PlanEndReported(Event):
    """A plan is over (`source_key`: its own id): ended by the donor, by payments that failed (lapsed), or otherwise."""

    source: str
    source_key: str
    ended_at: datetime
    ended_by: Literal["donor", "lapsed", "other"]
    reason: str = ""


# What follows for money.


@dataclass(frozen=True, slots=True)
class ContributionRecorded(Event):
    """A contribution is on the books, for the first time. `contact_id` is None when nobody was named; whom it
    names may have no address."""

    word: ClassVar[str] = "gift"

    contribution_id: int
    contact_id: int | None


@dataclass(frozen=True, slots=True)
class InstalmentRecorded(Event):
    """An instalment after the first is on the books."""

    word: ClassVar[str] = "instalment"

    contribution_id: int
    contact_id: int | None


@dataclass(frozen=True, slots=True)
class DonorLearned(Event):
    """The donor of a contribution on the books, whose address was hidden until now, is known by it."""

    word: ClassVar[str] = "donor"

    contribution_id: int
    contact_id: int


@dataclass(frozen=True, slots=True)
class CardDeclined(Event):
    """A declined card of one of our forms is on record."""

    word: ClassVar[str] = "decline"

    donation_form_id: int


@dataclass(frozen=True, slots=True)
class RefundRecorded(Event):
    """A refund is on record. `contribution_id` is None until its gift is booked."""

    word: ClassVar[str] = "refund"

    refund_id: int
    contribution_id: int | None


@dataclass(frozen=True, slots=True)
class RefundFailed(Event):
    """A refund came back: the money is ours again."""

    word: ClassVar[str] = "refund failed"

    refund_id: int
    contribution_id: int | None


@dataclass(frozen=True, slots=True)
class DisputeRecorded(Event):
    """A dispute is on record, or stands otherwise than before (`state`: as in DisputeReported)."""

    word: ClassVar[str] = "dispute"

    dispute_id: int
    contribution_id: int | None
    state: str


@dataclass(frozen=True, slots=True)
class FraudWarned(Event):
    """An early fraud warning is on record."""

    word: ClassVar[str] = "fraud warning"

    warning_id: int


@dataclass(frozen=True, slots=True)
class PlanStarted(Event):
    """A recurring plan is on record for the first time."""

    word: ClassVar[str] = "plan"

    plan_id: int


@dataclass(frozen=True, slots=True)
class PlanChanged(Event):
    """Another amount or rhythm, a pause or its end, a payment that went through again."""

    word: ClassVar[str] = "plan changed"

    plan_id: int


@dataclass(frozen=True, slots=True)
class PlanFailed(Event):
    """The last payment of a plan failed."""

    word: ClassVar[str] = "plan failed"

    plan_id: int


@dataclass(frozen=True, slots=True)
class PlanCancelled(Event):
    """A plan is over: `ended_by` donor, lapsed (payments failed), or other."""

    word: ClassVar[str] = "plan cancelled"

    plan_id: int
    ended_by: str


@dataclass(frozen=True, slots=True)
class FactRecorded(Event):
    """Something is on record that moves nothing by itself (yet): a checkout, a link, an orphan's end."""

    word: ClassVar[str] = "fact"
