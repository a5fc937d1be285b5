"""Gifts of a torture run as ActBlue and Stripe tell them: bodies made by a seed, and what each must come to.

`Told`: one request, what it is, and the facts that the model counts. ActBlue posts one request a line item. Stripe's are the
events of an account that is played here; half of the accounts' endpoints still speak an API version of old.
"""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from bench.torture import envelopes
from bench.torture.people import Someone
from bench.torture.posting import Request
from engine.adapters import stripe_bodies
from engine.adapters.played_stripe import Played

ENTITIES = {12345: "action", 67890: "action", 123456: "pac"}  # of the invented organisation, and their funds
CENTS = (2700, 5000, 10_000, 25_000, 1234, 700)
ACTBLUE, STRIPE = "actblue", "stripe"


@dataclass(frozen=True, slots=True)
class Told:
    """One request about money. `delay`: seconds until it is first sent; `copies`: how often besides."""

    request: Request
    kind: str
    source: str
    key: str
    facts: dict[str, Any] = field(default_factory=dict)
    delay: float = 0.0
    copies: int = 0


@dataclass(slots=True)
class ActBlue:
    """Orders, refunds and cancellations. Every number is new."""

    chance: random.Random
    first: int
    orders: int = 0

    def order(self, who: Someone) -> Iterator[Told]:
        """An order of one to three line items; of some the refund or the cancellation comes, even before the gift."""
        self.orders += 1
        number = self.first + self.orders
        monthly = self.chance.random() < 0.1
        many = self.chance.choice((1, 1, 1, 2, 3))
        entities = self.chance.sample(list(ENTITIES), many)
        fate = self.chance.random()
        for place, entity in enumerate(entities):
            item = number * 10 + place
            cents = self.chance.choice(CENTS)
            body = self._body(who, number, item, entity, cents, monthly=monthly)
            facts = {"item": str(item), "cents": cents, "entity": entity, "email": who.email, "monthly": monthly}
            yield self._told("gift", body, "", facts, delay=self._late())
            if fate < 0.1:
                undone = body | {"lineitems": [body["lineitems"][0] | {"refundedAt": _written(datetime.now(UTC))}]}
                kind = self.chance.choice(("", "refund"))
                yield self._told("refund", undone, kind, {"item": str(item), "cents": cents}, delay=self._late())
        if monthly and fate > 0.7:
            ended = {"cancelledAt": _written(datetime.now(UTC)), "cancellationType": "Active"}
            over = body | {"contribution": body["contribution"] | ended}
            kind = self.chance.choice(("", "cancellation"))
            yield self._told("cancellation", over, kind, {"order": f"AB{number}"}, delay=self._late())

    def _late(self) -> float:
        """Most at once; one in ten out of its order."""
        return self.chance.uniform(0.5, 6.0) if self.chance.random() < 0.1 else 0.0

    def _told(self, kind: str, body: dict[str, Any], address: str, facts: dict[str, Any], delay: float) -> Told:
        request, key = envelopes.actblue(json.dumps(body).encode(), address)
        copies = self.chance.choice((1, 1, 2, 3)) if self.chance.random() < 0.15 else 0
        return Told(request, kind, ACTBLUE, key, facts, delay, copies)

    def _body(self, who: Someone, number: int, item: int, entity: int, cents: int, *, monthly: bool) -> dict[str, Any]:
        at = _written(datetime.now(UTC) - timedelta(seconds=self.chance.uniform(0, 20)))
        return {
            "donor": {
                "firstname": who.first_name, "lastname": who.last_name, "addr1": "14 Lincoln Street", "city": "Town",
                "state": "MA", "zip": who.zip, "country": "United States", "email": who.email, "phone": "5085550123",
                "employerData": {"employer": "Public Library", "occupation": "Librarian"},
            },
            "contribution": {
                "createdAt": at, "orderNumber": f"AB{number}", "contributionForm": "common-ground", "status": "approved",
                "refcodes": {}, "refcode": None, "refcode2": None, "recurringPeriod": "monthly" if monthly else "once",
                "recurringDuration": "infinite" if monthly else 1, "isRecurring": monthly, "isExpress": False,
            },
            "lineitems": [{
                "sequence": 0, "entityId": entity, "committeeName": ENTITIES[entity], "lineitemId": item, "paidAt": at,
                "amount": f"{cents / 100:.2f}", "recurringAmount": f"{cents / 100:.2f}" if monthly else None,
            }],
        }  # fmt: skip


class Account:
    """A Stripe account that is played: what is done to it comes out as the requests that tell of it."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self._state: dict[str, Any] = {}
        self._played = Played(
            self._state,
            lambda: int(datetime.now(UTC).timestamp()),
            self._fresh,
            lambda key: f"https://example.org/{key}",
        )
        self._plans: list[str] = []

    def happening(self, who: Someone) -> list[Told]:
        """A payment or a plan of hers, or the next instalment of somebody's; perhaps a refund or a dispute of it."""
        chance, old = self.chance, self.chance.random() < 0.5
        if self._plans and chance.random() < 0.1:
            self._played.renew(chance.choice(self._plans))
        else:
            self._given(who, monthly=chance.random() < 0.15)
        payment = self._last("payment_intent")
        facts = {"payment": payment["id"], "invoice": payment["_invoice"], "cents": payment["amount"],
                 "email": payment["_charges"][-1]["billing_details"]["email"]}  # fmt: skip
        facts |= {"back": self._fate(payment)}
        events, self._state["events"][:] = list(self._state["events"]), []
        told = [one for one in events if not (old and one["type"] == "invoice_payment.paid")]
        return [self._told(one, facts, old=old) for one in told]

    def stale(self) -> Request:
        """An event that never happened, under a signature from before the tolerance."""
        return envelopes.stripe(self._invented(), ago=envelopes.TOLERANCE + self.chance.randrange(10, 4000))

    def forged(self) -> Request:
        """The same of somebody who does not know the secret."""
        return envelopes.stripe_forged(self._invented())

    def _invented(self) -> bytes:
        body = stripe_bodies.payment_intent(self._fresh("pi"), 100_000, "usd", int(datetime.now(UTC).timestamp()))
        event = stripe_bodies.event(self._fresh("evt_refused"), "payment_intent.succeeded", body, body["created"])
        return stripe_bodies.raw(event | {"livemode": True})

    def _given(self, who: Someone, *, monthly: bool) -> None:
        price = {"currency": "usd", "unit_amount": self.chance.choice(CENTS), "product_data": {"name": "A gift"}}
        carried = {"metadata": {"form": "neighbours"}}
        asked = {
            "mode": "subscription" if monthly else "payment", "customer_email": who.email, "metadata": carried["metadata"],
            "line_items": [{"quantity": 1, "price_data": price}],
            "subscription_data" if monthly else "payment_intent_data": carried,
        }  # fmt: skip
        session = self._played.open(asked)
        self._played.pay(session["id"], who.email, f"{who.first_name} {who.last_name}", who.zip)
        if monthly:
            self._plans.append(session["subscription"])

    def _fate(self, payment: dict[str, Any]) -> int:
        """What goes back of it, in cents."""
        luck, cents = self.chance.random(), int(payment["amount"])
        asked = {"payment_intent": payment["id"]}
        if luck < 0.06:
            part = self.chance.choice((cents, cents // 2))
            self._played.refund(asked | {"amount": part})
            return part
        if luck < 0.1:
            dispute = self._played.dispute(asked)
            won = luck < 0.08
            if luck < 0.09:
                self._played.settle(dispute["id"], won=won)
            return 0 if won else cents
        return 0

    def _last(self, kind: str) -> dict[str, Any]:
        return next(made for made in reversed(self._state["objects"].values()) if made["object"] == kind)

    def _told(self, one: dict[str, Any], facts: dict[str, Any], *, old: bool) -> Told:
        event = stripe_bodies.event(one["id"], one["type"], one["snapshot"], one["at"], old=old)
        body = orjson.dumps(event | {"livemode": True}, option=orjson.OPT_INDENT_2)
        copies = self.chance.choice((1, 1, 2, 4)) if self.chance.random() < 0.2 else 0
        delay = self.chance.uniform(0.5, 8.0) if self.chance.random() < 0.1 else 0.0
        return Told(envelopes.stripe(body), "stripe", STRIPE, one["id"], facts | {"type": one["type"]}, delay, copies)

    def _fresh(self, prefix: str) -> str:
        return f"{prefix}_{self.chance.getrandbits(96):024x}"


def _written(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
