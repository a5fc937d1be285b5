"""Development's payment processor: a Stripe that is a file. No money moves, and no card is asked for.

What is done at it is told like Stripe tells it: signed events in its newest shape, posted one by one to our own receiver.
What could not be posted is posted with the next act, or fetched by the chore that fetches missed events. One JSON object,
locked while it is changed, written anew each time: all processes see the same, and a restart loses nothing.
"""

import fcntl
import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from time import time
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from engine.adapters import stripe_bodies as bodies
from engine.adapters.played_stripe import Played, Refused
from engine.adapters.stripe_payments import basket_of
from engine.errors import GroundswellError, Invalid, NotFound, Unavailable
from engine.ports import Basket, Listed, Opened, PlayedCheckout, PlayedPlan, Refunded

PAGE = 100
MOST_EVENTS = 2000
POST_SECONDS = 5.0
ID_BYTES = 12

Post = Callable[[str, bytes, Mapping[str, str]], int]


def post(url: str, body: bytes, headers: Mapping[str, str]) -> int:
    """Post to our own receiver; the status it answers. Raises OSError when it does not."""
    request = Request(url, body, dict(headers))
    try:
        with urlopen(request, timeout=POST_SECONDS) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code


class DevPayments:
    """The file as `Payments`, and as the `Cashier` whose pages are ours to show."""

    def __init__(self, folder: Path, base_url: str, secret: str, *, post: Post = post) -> None:
        self._file, self._base_url, self._secret, self._post = folder / "account.json", base_url, secret, post

    # Payments.

    def events(
        self, *, since: datetime, until: datetime | None = None, undelivered: bool = False
    ) -> Iterator[Sequence[Listed]]:
        """What happened, newest first, in pages."""
        with self._open(keep=False) as played:
            told = list(reversed(played.state["events"]))
        first, last = int(since.timestamp()), int(until.timestamp()) if until else int(time()) + 1
        wanted = [one for one in told if first <= one["at"] <= last and not (undelivered and one["delivered"])]
        for start in range(0, len(wanted), PAGE):
            yield [
                Listed(one["id"], one["type"], datetime.fromtimestamp(one["at"], UTC), False, _body(one))
                for one in wanted[start : start + PAGE]
            ]

    def refund(self, charge_key: str, payment_key: str, idempotency_key: str, *, account: str = "") -> Refunded:
        """All that is left, as fraud."""
        return self._refund({"charge": charge_key, "payment_intent": payment_key}, idempotency_key, account)

    def give_back(
        self, charge_key: str, payment_key: str, amount_cents: int, idempotency_key: str, *, account: str = ""
    ) -> Refunded:
        """So much of it."""
        asked = {"charge": charge_key, "payment_intent": payment_key, "amount": amount_cents}
        return self._refund(asked, idempotency_key, account)

    def check_out(self, basket: Basket, idempotency_key: str) -> Opened:
        """A page at /dev/checkout."""
        asked = basket_of(basket)
        made = self._once(idempotency_key, asked, lambda played: played.open(asked, basket.account))
        return Opened(made["id"], made["url"], datetime.fromtimestamp(made["expires_at"], UTC))

    def change_plan(self, plan_key: str, amount_cents: int, idempotency_key: str, *, account: str = "") -> None:
        """Another price for its item."""

        with self._open(keep=False) as played:
            plan = played.find(plan_key, "subscription", account)
        price = plan["_price"]
        if price["unit_amount"] != amount_cents:
            item = {"id": plan["_item"], "price_data": price | {"unit_amount": amount_cents}}
            asked = {"items": [item]}
            self._once(
                f"{idempotency_key}-{price['id']}", asked, lambda played: played.change(plan_key, asked, account)
            )

    def pause_plan(self, plan_key: str, until: datetime | None, *, account: str = "") -> None:
        """A pause, or its end. Nothing but the next act ends it: nobody waits here for the time to come."""
        paused: Any = {"behavior": "void", "resumes_at": int(until.timestamp())} if until else None
        with self._open() as played:
            if played.find(plan_key, "subscription", account)["pause_collection"] != paused:
                played.change(plan_key, {"pause_collection": paused or ""}, account)
        self._tell()

    def cancel_plan(self, plan_key: str, idempotency_key: str, *, account: str = "") -> None:
        """Its end; one that is over stays so."""

        def cancel(played: Played) -> dict[str, Any]:
            plan = played.find(plan_key, "subscription", account)
            return plan if plan["status"] == "canceled" else played.cancel(plan_key, account)

        self._once(idempotency_key, [plan_key], cancel)

    def portal(self, plan_key: str, return_url: str, *, account: str = "") -> str:
        """A page at /dev/portal."""
        with self._open() as played:
            plan = played.find(plan_key, "subscription", account)
            asked = {"customer": plan["customer"], "return_url": return_url}
            made = played.portal(asked, f"{self._base_url}/dev/portal/", account)
            made |= {"url": made["url"] + made["id"], "_plan": plan_key}
            return str(made["url"])

    def expire_checkout(self, session_key: str, *, account: str = "") -> None:
        """The end of a session, told as far as somebody listens."""
        with self._open(keep=False) as played:
            played.find(session_key, "checkout.session", account)
        with suppress(Unavailable):
            self.expire(session_key)

    # The pages.

    def checkout(self, key: str) -> PlayedCheckout:
        """One session as its page shows it."""
        with self._open(keep=False) as played:
            found = _any(played, key, "checkout.session")
        over = found["status"] == "open" and found["expires_at"] <= time()
        return PlayedCheckout(
            key, found["amount_total"], found["mode"] == "subscription", found["_title"], found["customer_email"] or "",
            "expired" if over else found["status"], found["success_url"], found["cancel_url"],
        )  # fmt: skip

    def pay(self, key: str, email: str) -> None:
        """A card that works."""
        with self._open() as played:
            played.pay(key, email=email, account=_any(played, key, "checkout.session")["_account"])
        self._deliver()

    def decline(self, key: str, email: str) -> None:
        """A card that is declined."""
        with self._open() as played:
            played.decline(key, email=email, account=_any(played, key, "checkout.session")["_account"])
        self._deliver()

    def expire(self, key: str) -> None:
        """The end of a session; of one that is over already nothing comes."""
        with self._open() as played:
            found = _any(played, key, "checkout.session")
            if found["status"] == "open":
                played.expire(key, found["_account"])
        self._deliver()

    def plan(self, page_key: str) -> PlayedPlan:
        """The plan of a page of the portal."""
        with self._open(keep=False) as played:
            page = _any(played, page_key, "billing_portal.session")
            plan = played.find(page["_plan"], "subscription", page["_account"])
        return PlayedPlan(
            plan["id"],
            plan["_price"]["unit_amount"],
            plan["status"],
            bool(plan["pause_collection"]),
            page["return_url"],
        )

    def renew(self, page_key: str, *, good: bool) -> None:
        """Its next instalment."""
        with self._open() as played:
            page = _any(played, page_key, "billing_portal.session")
            played.renew(page["_plan"], good=good, account=page["_account"])
        self._deliver()

    # The file.

    def _refund(self, asked: dict[str, Any], key: str, account: str) -> Refunded:
        asked = {name: value for name, value in asked.items() if value}
        try:
            made = self._once(key, asked, lambda played: played.refund(asked, account))
        except (Invalid, NotFound) as error:
            return Refunded("refused", detail=str(error))
        except Unavailable as error:
            return Refunded("uncertain", detail=str(error))
        return Refunded("accepted", provider_id=made["id"])

    def _once(self, key: str, asked: object, act: Callable[[Played], dict[str, Any]]) -> dict[str, Any]:
        """Do it under this key, once; then tell of it as far as somebody listens."""
        digest = sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()
        with self._open() as played:
            known = played.state.setdefault("asked", {})
            if key not in known:
                known[key] = {"digest": digest, "answer": bodies.rendered(act(played))}
            if known[key]["digest"] != digest:
                raise Invalid("something else was asked with the same idempotency key")
            answer: dict[str, Any] = known[key]["answer"]
        self._tell()
        return answer

    def _tell(self) -> None:
        """Tell what was done, or else with the next act: it is done."""
        with suppress(Unavailable):
            self._deliver()

    @contextmanager
    def _open(self, *, keep: bool = True) -> Iterator[Played]:
        """What the file holds, locked; written back unless it is only looked at. Raises NotFound, Invalid, Unavailable."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.with_suffix(".lock").open("ab") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX if keep else fcntl.LOCK_SH)
                state = json.loads(self._file.read_bytes()) if self._file.exists() else {}
                yield Played(state, lambda: int(time()), _fresh, lambda key: f"{self._base_url}/dev/checkout/{key}")
                if keep:
                    self._write(state)
        except Refused as error:
            raise _ours(error) from None
        except (OSError, json.JSONDecodeError) as error:
            raise Unavailable(f"development's payments cannot be read or written: {self._file}") from error

    def _write(self, state: dict[str, Any]) -> None:
        del state["events"][:-MOST_EVENTS]
        fresh = self._file.with_suffix(".new")
        with fresh.open("wb") as file:
            file.write(json.dumps(state).encode())
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._file)

    def _deliver(self) -> None:
        """Post what nobody has taken yet, in its order. Raises Unavailable when that does not go through."""
        with self._open(keep=False) as played:
            waiting = [one for one in played.state["events"] if not one["delivered"]]
        taken = set()
        for one in waiting:
            if not self._taken(_body(one)):
                break
            taken.add(one["id"])
        with self._open() as played:
            for one in played.state["events"]:
                one["delivered"] = one["delivered"] or one["id"] in taken
        if len(taken) < len(waiting):
            raise Unavailable(
                f"the payment is made, but {self._base_url} did not take the event that tells of it: try again"
            )

    def _taken(self, body: bytes) -> bool:
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": bodies.signed(body, self._secret, int(time())),
        }
        try:
            return 200 <= self._post(f"{self._base_url}/webhooks/stripe", body, headers) < 300
        except (URLError, OSError):
            return False


def _any(played: Played, key: str, kind: str) -> dict[str, Any]:
    """An object of whichever account. Raises NotFound."""
    found: dict[str, Any] | None = played.state["objects"].get(key)
    if found is None or found["object"] != kind:
        raise NotFound("There is no such page")
    return found


def _body(told: Mapping[str, Any]) -> bytes:
    return bodies.raw(bodies.event(told["id"], told["type"], told["snapshot"], told["at"], account=told["account"]))


def _fresh(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(ID_BYTES)}"


def _ours(error: Refused) -> GroundswellError:
    return NotFound(error.message) if error.status == 404 else Invalid(error.message)
