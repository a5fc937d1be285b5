"""Stripe's subscriptions: how a plan stands, and how it ended. Every event of one carries the whole of it.

The amount is the sum of its items. Before 2018 a subscription had one `plan` and no items; `plan` lived on beside them.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from engine.errors import Invalid
from engine.events import Event, PlanEndReported, PlanReported
from engine.sources.stripe_words import (
    MONTHLY,
    MOST,
    SOURCE,
    Key,
    MaybeCurrency,
    MaybeMoment,
    MaybePrice,
    MaybeWhole,
    Price,
    Said,
    Told,
    listed,
    part,
)
from engine.sources.words import Ignored, Lenient, Text, model

OVER = ("canceled", "incomplete_expired", "ended")


class _Item(Lenient):
    price: MaybePrice = Price()
    plan: MaybePrice = Price()
    quantity: MaybeWhole = None

    @property
    def amount(self) -> int:
        one = next((told for told in (self.price.unit_amount, self.plan.amount) if told is not None), 0)
        return one * (1 if self.quantity is None else self.quantity)


class _Pause(Lenient):
    resumes_at: MaybeMoment = None


class _Cancelled(Lenient):
    reason: Text = ""
    feedback: Text = ""


class _Subscription(Lenient):
    id: Key
    currency: MaybeCurrency = None
    status: Text = ""
    created: MaybeMoment = None
    start_date: MaybeMoment = None
    ended_at: MaybeMoment = None
    pause_collection: Any = None
    items: Annotated[list[_Item], BeforeValidator(listed)] = Field(default_factory=list)
    plan: MaybePrice = Price()
    quantity: MaybeWhole = None
    cancellation_details: Annotated[_Cancelled, BeforeValidator(part)] = _Cancelled()

    @property
    def prices(self) -> list[Price]:
        """All that says what it costs, the newest shape first."""
        return [*(price for item in self.items for price in (item.price, item.plan)), self.plan]

    @property
    def period(self) -> str:
        """Our word for its rhythm: that of the first item which says one."""
        return next((price.period for price in self.prices if price.period), MONTHLY)

    @property
    def money(self) -> str:
        """Its currency: its own word or its prices'. Raises Invalid when nothing says one."""
        told = next(filter(None, (self.currency, *(price.currency for price in self.prices))), None)
        if told is None:
            raise Invalid("not understood: currency")
        return told

    @property
    def amount(self) -> int:
        """Minor units asked for every time. Raises Invalid beyond anything that is money."""
        items = self.items or [_Item(plan=self.plan, quantity=self.quantity)]
        if (amount := sum(item.amount for item in items)) > MOST:
            raise Invalid("not understood: items")
        return amount


def standing(told: Told) -> Said:
    """customer.subscription.created, .updated, .paused, .resumed: how a plan stands; and its end, if that came."""
    said = model(_Subscription, told.object)
    if said.status == "incomplete":
        return Ignored("a plan that has not begun: its first payment is not made")
    stands = _stands(told, said)
    if said.status in OVER:
        return [*stands, _end(told, said)]
    return [*stands] or Ignored("a plan without an amount")


def deleted(told: Told) -> Said:
    """customer.subscription.deleted: the end of a plan."""
    said = model(_Subscription, told.object)
    return [*_stands(told, said), _end(told, said)]


def _stands(told: Told, said: _Subscription) -> list[Event]:
    if not (amount := said.amount):
        return []
    return [
        PlanReported(
            cause=told.cause,
            source=SOURCE,
            source_key=said.id,
            amount_cents=amount,
            currency=said.money,
            period=said.period,
            started_at=said.start_date or said.created or told.at,
            told_at=told.at,
            paused=said.status == "paused" or bool(said.pause_collection),
            paused_until=model(_Pause, part(said.pause_collection) or {}).resumes_at,
            account=told.account,
        )
    ]


ENDED_BY: dict[str, Literal["donor", "lapsed", "other"]] = {
    "cancellation_requested": "donor",
    "payment_failed": "lapsed",
    "payment_disputed": "other",
}


def _end(told: Told, said: _Subscription) -> PlanEndReported:
    why = said.cancellation_details
    return PlanEndReported(
        cause=told.cause,
        source=SOURCE,
        source_key=said.id,
        ended_at=said.ended_at or told.at,
        ended_by=ENDED_BY.get(why.reason, "other"),
        reason=", ".join(filter(None, (why.reason, why.feedback))),
    )
