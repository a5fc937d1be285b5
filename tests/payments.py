"""A payment processor that remembers what it was asked for. The same key twice is one act, as at the real one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from engine.errors import GroundswellError, Invalid
from engine.ports import Basket, Listed, Opened, Refunded

PORTAL = "https://billing.stripe.com/p/session/test_1"


@dataclass
class FakePayments:
    """`done`: what it did, by key. `stands`: how plans were changed last. `asked`: every call. `fault`: what each call
    raises; `answer`: what a refund comes to."""

    done: dict[str, tuple[object, ...]] = field(default_factory=dict)
    stands: dict[tuple[str, str], object] = field(default_factory=dict)
    asked: list[tuple[object, ...]] = field(default_factory=list)
    fault: GroundswellError | None = None
    answer: Refunded | None = None

    def events(
        self, *, since: datetime, until: datetime | None = None, undelivered: bool = False
    ) -> Iterator[Sequence[Listed]]:
        return iter(())

    def refund(self, charge_key: str, payment_key: str, idempotency_key: str, *, account: str = "") -> Refunded:
        return self._gave(idempotency_key, "refund", charge_key, payment_key, account)

    def give_back(
        self, charge_key: str, payment_key: str, amount_cents: int, idempotency_key: str, *, account: str = ""
    ) -> Refunded:
        return self._gave(idempotency_key, "give back", charge_key, payment_key, amount_cents, account)

    def check_out(self, basket: Basket, idempotency_key: str) -> Opened:
        self._do(idempotency_key, "check out", basket)
        return Opened("cs_1", "https://checkout.stripe.com/c/pay/cs_1", basket.expires_at)

    def expire_checkout(self, session_key: str, *, account: str = "") -> None:
        self._do("", "expire", session_key, account)

    def change_plan(self, plan_key: str, amount_cents: int, idempotency_key: str, *, account: str = "") -> None:
        self._turn(idempotency_key, "change", plan_key, amount_cents, account)

    def pause_plan(self, plan_key: str, until: datetime | None, *, account: str = "") -> None:
        self._turn("pause", "pause", plan_key, until, account)

    def cancel_plan(self, plan_key: str, idempotency_key: str, *, account: str = "") -> None:
        self._do(idempotency_key, "cancel", plan_key, account)

    def portal(self, plan_key: str, return_url: str, *, account: str = "") -> str:
        self._do("", "portal", plan_key, return_url, account)
        return PORTAL

    def _do(self, key: str, *what: object) -> None:
        self.asked.append(what)
        if self.fault is not None:
            raise self.fault
        if self.done.setdefault(key, what) != what and key:
            raise Invalid("the same key was used for something else")

    def _turn(self, key: str, act: str, plan_key: str, wished: object, account: str) -> None:
        """One act while the plan stands as it did."""
        before = self.stands.get((plan_key, act), "as it began")
        if before == wished:
            self.asked.append((act, plan_key, wished, account))
            return
        self._do(f"{key} of {before}", act, plan_key, wished, account)
        self.stands[plan_key, act] = wished

    def _gave(self, key: str, *what: object) -> Refunded:
        self._do(key, *what)
        return self.answer or Refunded("accepted", provider_id=f"re_{len(self.done)}")
