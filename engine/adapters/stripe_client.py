"""Asking Stripe's API: requests by its own SDK, answers as JSON, its errors in our words.

The SDK's objects are no dicts since version 15, and turn decimals into another type: what comes back is read raw. It takes
a sixth of a second and many megabytes to import, so it is imported when it is first needed.
"""

import os
from collections.abc import Mapping
from functools import cache, cached_property
from importlib import import_module
from time import monotonic
from typing import Any

from engine import metrics
from engine.errors import Forbidden, GroundswellError, Invalid, NotFound, Unavailable
from engine.ports import Refunded

ALREADY_BACK = "charge_already_refunded"
BROKEN = 500
PROVIDER = "stripe"  # in the metrics
MISSING = 404
IN_USE = 409  # another request with the same key is being answered


class Broken(Unavailable):
    """An error of Stripe's own (HTTP 500), which it repeats for as long as it knows the idempotency key."""


class Client:
    """One account's key. `seconds` for one try, and so many `retries` by the SDK, with the same idempotency key."""

    def __init__(self, key: str, base: str, seconds: float, retries: int) -> None:
        self._key, self._base, self._seconds, self._retries = key, base, seconds, retries

    @cached_property
    def _client(self) -> Any:
        return _sdk().StripeClient(
            self._key,
            base_addresses={"api": self._base},
            http_client=_sdk().RequestsClient(timeout=self._seconds),
            max_network_retries=self._retries,
        )

    def ask(
        self, method: str, path: str, asked: Mapping[str, Any] | None = None, *, key: str = "", account: str = ""
    ) -> dict[str, Any]:
        """One request and its answer, an object. Raises Unavailable (Broken), Invalid, NotFound, Forbidden."""
        try:
            return self._answer(method, path, asked, key, account)
        except _sdk().StripeError as error:
            raise _ours(error) from None

    def refund(self, asked: Mapping[str, Any], key: str, account: str = "") -> Refunded:
        """Ask for a refund. Never raises: money may be on its way back whatever was answered."""
        try:
            made = self._answer("post", "/v1/refunds", asked, key, account)
        except _sdk().StripeError as error:
            return _refusal(error)
        except Unavailable as error:  # an answer, but none of Stripe's
            return Refunded("uncertain", detail=str(error))
        if made.get("status") in ("failed", "canceled"):
            return Refunded("refused", detail=f"the refund is {made['status']}")
        if not (isinstance(made.get("id"), str) and made["id"]):
            return Refunded("uncertain", detail="Stripe answered with something that is no refund")
        return Refunded("accepted", provider_id=made["id"])

    def _answer(
        self, method: str, path: str, asked: Mapping[str, Any] | None, key: str, account: str
    ) -> dict[str, Any]:
        options = {"idempotency_key": key} if key else {}
        options |= {"stripe_account": account} if account else {}
        answer = self._metered(method, path, **(asked or {}), **options)
        if not isinstance(answer.data, dict):
            raise Unavailable("Stripe answered with something that is no object")
        return answer.data

    def _metered(self, method: str, path: str, **options: Any) -> Any:
        """One request, counted by what was answered."""
        began, said = monotonic(), "none"
        try:
            answer = self._client.raw_request(method, path, **options)
            said = str(answer.code)
        except _sdk().StripeError as error:
            said = str(error.http_status or "none")
            raise
        finally:
            metrics.ANSWERS.labels(PROVIDER, said).inc()
            metrics.ANSWER_SECONDS.labels(PROVIDER).observe(monotonic() - began)
        return answer


def _ours(error: Any) -> GroundswellError:
    """The same in our words. The vendor's own may repeat what we sent, the key's ends included."""
    if isinstance(error, _sdk().AuthenticationError | _sdk().PermissionError):
        return Forbidden("Stripe does not accept STRIPE_API_KEY for this")
    if isinstance(error, _sdk().InvalidRequestError) and error.http_status == MISSING:
        return NotFound("Stripe does not know what our request is about")
    if isinstance(error, _sdk().InvalidRequestError):
        return Invalid(f"Stripe does not understand our request ({error.code or 'no code'})")
    if isinstance(error, _sdk().IdempotencyError) and error.http_status != IN_USE:
        return Invalid("Stripe was asked for something else with the same idempotency key")
    kind = Broken if error.http_status == BROKEN else Unavailable
    return kind(f"Stripe does not answer ({_what(error)})")


def _refusal(error: Any) -> Refunded:
    if error.code == ALREADY_BACK:
        return Refunded("accepted")
    said = _ours(error)
    if isinstance(error, _sdk().IdempotencyError):  # what was asked with it before may have gone through
        return Refunded("uncertain", detail=str(said))
    if isinstance(said, Forbidden):
        return Refunded("refused", retryable=True, detail=str(said))
    if isinstance(error, _sdk().InvalidRequestError) and error.param == "amount":
        return Refunded("refused", detail="more than is left of this payment")
    if isinstance(said, Invalid | NotFound) or isinstance(error, _sdk().CardError):
        return Refunded("refused", detail=str(error.code or type(error).__name__))
    return Refunded("uncertain", detail=str(said))


def _what(error: Any) -> str:
    return f"HTTP {error.http_status}" if error.http_status else type(error).__name__


@cache
def _sdk() -> Any:
    os.environ.pop("STRIPE_LOG", None)  # by which the package prints what is sent, on its own
    return import_module("stripe")
