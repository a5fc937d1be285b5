"""`python -m bench.torture.stripe_provider`: a Stripe of its own process, which the product's faults do not touch.

It answers the product's SDK as `tests.stripe_stand_in` does. A donor pays at its page (`POST /pay`), and what that makes is
told by signed webhooks, again until they are taken; half of them in the shape of old, doubled and out of order. What is not
taken yet it lists to whoever asks, as Stripe does. `POST /down`: for so long it answers nothing but 503.
"""

import asyncio
import random
import signal
import sys
from functools import partial
from pathlib import Path
from time import time
from typing import Any
from urllib.parse import parse_qsl

from bench.torture import envelopes
from bench.torture.journal import Writer
from bench.torture.posting import Poster
from bench.torture.standing import controlled, serve_until_told
from bench.torture.world import STRIPE_API_KEY
from engine.adapters import stripe_bodies
from engine.adapters.played_stripe import Refused
from tests import stripe_stand_in
from tests.fake_stripe import FakeStripe
from tests.stripe_stand_in import StripeStandIn


class Stripe(StripeStandIn):
    """One account, which can be down."""

    down_until = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.told = FakeStripe()

    def answer(self, method: str, path: str, form: str, key: str, account: str) -> tuple[int, dict[str, Any]]:
        """As Stripe does, or 503 while it is down."""
        if time() < self.down_until:
            return 503, {"error": {"type": "api_error", "message": "it is us"}}
        if path == "/v1/events":
            with self.lock:
                return 200, self.told.listed(dict(parse_qsl(form)))
        return super().answer(method, path, form, key, account)

    def be_down(self, seconds: float) -> None:
        """Answer nothing but 503 for so long."""
        self.down_until = time() + seconds

    def arrived(self, event: str, _: object) -> None:
        """It was taken, and is listed no more."""
        self.told.undelivered.discard(event)

    def pay(self, session: str, email: str) -> dict[str, Any]:
        """A donor pays at the page of this session. Says which payment came of it, none when it was over."""
        with self.lock:
            try:
                self.played.pay(session, email, "Hannah Lindqvist")
            except Refused:
                return {"payment": ""}
            found = self.played.find(session, "checkout.session")
            return {"payment": found["payment_intent"], "cents": found["amount_total"]}


async def tell(stripe: Stripe, poster: Poster, ended: asyncio.Event) -> None:
    """Post event after event until it is ended and all is told."""
    while not ended.is_set() or stripe.state["events"] or poster.under_way:
        with stripe.lock:
            events, stripe.state["events"][:] = list(stripe.state["events"]), []
            facts = {one["id"]: _facts(stripe, one) for one in events}
        for one in events:
            old = poster.chance.random() < 0.5
            event = stripe_bodies.event(one["id"], one["type"], one["snapshot"], one["at"], old=old)
            event = {**event, "livemode": True}
            stripe.told.events.insert(0, event)
            stripe.told.undelivered.add(one["id"])
            request = envelopes.stripe(stripe_bodies.raw(event))
            number = poster.journal.intend("stripe", "stripe", one["id"], **facts[one["id"]])
            for _ in range(poster.chance.choice((1, 1, 1, 2))):
                sending = poster.later(number, request, poster.chance.choice((0.0, 0.0, 3.0)))
                sending.add_done_callback(partial(stripe.arrived, one["id"]))
        await asyncio.sleep(0.2)


def _facts(stripe: Stripe, one: dict[str, Any]) -> dict[str, Any]:
    """What the model counts of an event: its payment, if that took any money."""
    told = one["snapshot"]
    payment = told["id"] if told["object"] == "payment_intent" else told.get("payment_intent")
    found = stripe.state["objects"].get(payment or "")
    if not found or found["status"] != "succeeded":
        return {"type": one["type"]}
    email = found["_charges"][-1]["billing_details"]["email"]
    return {"type": one["type"], "payment": payment, "invoice": "", "cents": found["amount"], "back": 0, "email": email}


async def _main(home: Path, seed: int, urls: list[str]) -> None:
    stripe = Stripe(seed, STRIPE_API_KEY)
    poster = Poster(urls, Writer(home / "journal-stripe.jsonl"), random.Random(seed + 2))
    acts = {
        "/pay": lambda said: stripe.pay(said["session"], said["email"]),
        "/down": lambda said: stripe.be_down(said["seconds"]),
    }
    with stripe_stand_in.listening(stripe), controlled(acts) as control:
        await serve_until_told(stripe.url, control, lambda ended: tell(stripe, poster, ended))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(_main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
