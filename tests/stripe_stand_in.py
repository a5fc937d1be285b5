"""A Stripe on this machine that remembers: over real HTTP, for the real SDK, held to the SDK's own types (`stripe_params`).

The same idempotency key with the same request gets the same answer, a 500 included; with another request an error. `mishaps`
are met first, one a request: an HTTP status (with 500 and more kept under the key), "silence" (no answer until the caller
gives up), "crash" (it is done, and the connection lost). `webhooks` signs what happened, in either shape of the API, doubled
and out of order as the seed has it.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler
from random import Random
from time import time
from typing import Any
from urllib.parse import urlsplit

from engine.adapters import stripe_bodies as bodies
from engine.adapters.played_stripe import Played, Refused
from engine.settings import DEVELOPMENT_STRIPE_SECRET
from tests import stripe_params
from tests.loopback import Handler, Server, serving

KEY = "rk_test_of_the_stand_in"
SOONEST, LATEST = 30 * 60, 24 * 3600  # how long a session may be open
MOST_TURNS = 20  # as often as Stripe tries, in three days
MOST_METADATA, LONGEST_NAME, LONGEST_VALUE = 50, 40, 500


@dataclass
class StripeStandIn:
    """What it holds and what it was asked: (method, path, parameters, account)."""

    seed: int = 1
    key: str = KEY
    mishaps: list[int | str] = field(default_factory=list)
    asked: list[tuple[str, str, dict[str, Any], str]] = field(default_factory=list)
    accounts: tuple[str, ...] = ("",)  # that our key may act for
    at: int | None = None  # the time it takes for now
    bare: bool = False  # since 2025-03-31 a payment need not name its invoice
    url: str = ""
    answers: dict[str, tuple[str, int, dict[str, Any]]] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)
    ending: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._ids = Random(self.seed)
        self.played = Played(self.state, self.now, self._fresh, lambda key: f"https://checkout.example.org/c/{key}")

    def now(self) -> int:
        return int(time()) if self.at is None else self.at

    def objects(self, kind: str) -> list[dict[str, Any]]:
        """All objects of a kind, oldest first."""
        return [made for made in self.state["objects"].values() if made["object"] == kind]

    def webhooks(
        self, *, old: bool = False, seed: int | None = None, secret: str = DEVELOPMENT_STRIPE_SECRET
    ) -> list[tuple[bytes, list[tuple[str, str]]]]:
        """Body and headers of each POST that tells what happened. With a seed some come twice, and in any order."""
        told = [
            bodies.raw(
                bodies.event(one["id"], one["type"], self._as_told(one), one["at"], old=old, account=one["account"])
            )
            for one in self.state["events"]
            if not (old and one["type"] == "invoice_payment.paid")
        ]
        if seed is not None:
            chosen = Random(seed)
            told += chosen.sample(told, k=len(told) // 2)
            chosen.shuffle(told)
        return [_signed(body, secret) for body in told]

    def deliver(self, post: Callable[[bytes, list[tuple[str, str]]], int], *, seed: int, old: bool = False) -> int:
        """Post all of it, and again what is not answered 2xx, signed afresh, until it is; how many posts that took."""
        waiting, posts = self.webhooks(old=old, seed=seed), 0
        for _ in range(MOST_TURNS):
            posts += len(waiting)
            waiting = [_signed(body) for body, headers in waiting if not 200 <= post(body, headers) < 300]
            if not waiting:
                return posts
        raise AssertionError("the receiver never took it")

    def _as_told(self, one: dict[str, Any]) -> dict[str, Any]:
        return {**one["snapshot"], "_told": not self.bare}

    def answer(self, method: str, path: str, form: str, key: str, account: str) -> tuple[int, dict[str, Any]]:
        """What Stripe answers to one request."""
        asked = stripe_params.unfolded(form)
        digest = sha256(json.dumps([method, path, asked, account], sort_keys=True).encode()).hexdigest()
        with self.lock:
            self.asked.append((method, path, asked, account))
            mishap = self.mishaps.pop(0) if self.mishaps and self.mishaps[0] != "crash" else None
            if key in self.answers and mishap not in (409, 429):
                before, status, answer = self.answers[key]
                return (
                    (status, answer) if before == digest else (400, _error("idempotency_error", "Keys for idempotent…"))
                )
            if isinstance(mishap, int):
                status, answer = mishap, _error("api_error" if mishap >= 500 else "invalid_request_error", "it is us")
            else:
                status, answer = self._act(method, path, asked, account)
            if key and method == "POST" and status not in (409, 429):
                self.answers[key] = digest, status, answer
        return status, answer

    def _act(self, method: str, path: str, asked: dict[str, Any], account: str) -> tuple[int, dict[str, Any]]:
        try:
            name, key = stripe_params.call(method, path)
            stripe_params.check(name, asked)
            return 200, bodies.rendered(self._done(name, key, asked, account))
        except Refused as refused:
            kind = "invalid_request_error"
            return refused.status, _error(kind, refused.message, code=refused.code, param=refused.param)

    def _done(self, name: str, key: str, asked: dict[str, Any], account: str) -> dict[str, Any]:
        played = self.played
        if account not in self.accounts:
            raise Refused(403, f"The provided key does not have access to account '{account}'", "account_invalid")
        if name == "open":
            self._check_session(asked)
        acts: dict[str, Callable[[], dict[str, Any]]] = {
            "open": lambda: played.open(asked, account),
            "expire": lambda: played.expire(key, account),
            "session": lambda: played.find(key, "checkout.session", account),
            "refund": lambda: played.refund(asked, account),
            "plan": lambda: played.find(key, "subscription", account),
            "change": lambda: played.change(key, asked, account),
            "cancel": lambda: played.cancel(key, account),
            "portal": lambda: played.portal(asked, "https://billing.example.org/p/session", account),
        }
        return acts[name]()

    def _check_session(self, asked: dict[str, Any]) -> None:
        """What the API says of a session beside its types."""
        monthly = asked["mode"] == "subscription"
        if ("payment_intent_data" if monthly else "subscription_data") in asked:
            raise Refused(400, f"You can not pass this in `{asked['mode']}` mode.", "", "mode")
        if ("recurring" in asked["line_items"][0]["price_data"]) != monthly:
            raise Refused(400, "You must provide at least one recurring price in `subscription` mode", "", "line_items")
        ends = int(asked.get("expires_at", self.now() + LATEST))
        if not self.now() + SOONEST <= ends <= self.now() + LATEST:
            raise Refused(400, "The `expires_at` timestamp must be 30 minutes to 24 hours away", "", "expires_at")
        carried = [asked.get("metadata", {}), asked.get("payment_intent_data", {}).get("metadata", {}),
                   asked.get("subscription_data", {}).get("metadata", {})]  # fmt: skip
        for metadata in carried:
            if len(metadata) > MOST_METADATA or any(
                len(name) > LONGEST_NAME or len(value) > LONGEST_VALUE for name, value in metadata.items()
            ):
                raise Refused(400, "Metadata is too large", "", "metadata")

    def _fresh(self, prefix: str) -> str:
        return f"{prefix}_{self._ids.getrandbits(96):024x}"


def _signed(body: bytes, secret: str = DEVELOPMENT_STRIPE_SECRET) -> tuple[bytes, list[tuple[str, str]]]:
    kind = ("content-type", "application/json; charset=utf-8")
    return body, [kind, ("stripe-signature", bodies.signed(body, secret, int(time())))]


def _error(kind: str, message: str, *, code: str = "", param: str = "") -> dict[str, Any]:
    told = {"type": kind, "message": message, "code": code, "param": param}
    return {"error": {name: value for name, value in told.items() if value}}


class _Server(Server):
    def __init__(self, stripe: StripeStandIn) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.stripe = stripe


class _Handler(Handler, BaseHTTPRequestHandler):
    server: "_Server"

    def do_GET(self) -> None:
        self._meet(urlsplit(self.path).query)

    def do_POST(self) -> None:
        self._meet(self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode())

    def do_DELETE(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        self._meet(body or urlsplit(self.path).query)

    def _meet(self, form: str) -> None:
        stripe = self.server.stripe
        if self.headers["Authorization"] != f"Bearer {stripe.key}":
            self._say(401, _error("invalid_request_error", "Invalid API Key: rk_****"))
            return
        crash = stripe.mishaps[:1] == ["crash"]
        if stripe.mishaps[:1] == ["silence"]:
            stripe.mishaps.pop(0)
            stripe.ending.wait(30)
            self.close_connection = True
            return
        if crash:
            stripe.mishaps.pop(0)
        key, account = self.headers.get("Idempotency-Key", ""), self.headers.get("Stripe-Account", "")
        status, answer = stripe.answer(self.command, urlsplit(self.path).path, form, key, account)
        if crash:
            self.close_connection = True
            return
        self._say(status, answer)

    def _say(self, status: int, document: dict[str, Any]) -> None:
        self.answer(status, json.dumps(document).encode())


@contextmanager
def running(seed: int = 1) -> Iterator[StripeStandIn]:
    """A new one, listening."""
    with listening(StripeStandIn(seed)) as stripe:
        yield stripe


@contextmanager
def listening(stripe: StripeStandIn) -> Iterator[StripeStandIn]:
    """It listens on a port of its own until the block ends."""
    with serving(_Server(stripe), stripe.ending.set) as stripe.url:
        yield stripe
