"""Stripe's API, as the engine's `Payments`. Its own SDK makes the requests; what comes back is kept as JSON.

Events are fetched raw: the SDK's objects are no dicts since version 15, and turn decimals into another type. Each event is
rendered by the API version of its own time, like the webhook that told it or should have.

The SDK takes a sixth of a second and many megabytes to import, and only the process that does the chores asks Stripe: it
is imported when it is first needed.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, cached_property
from importlib import import_module
from typing import Any

from engine.errors import Forbidden, GroundswellError, Invalid, Unavailable
from engine.ports import Listed, Refunded

PAGE = 100  # as many as Stripe gives at once
SECONDS = 10.0  # for one try; with two more and the pauses between them some half a minute
RETRIES = 2
ALREADY_BACK = "charge_already_refunded"

_KEY = re.compile(r"[A-Za-z0-9_-]{1,255}")


class StripePayments:
    """One account, by its secret key."""

    def __init__(self, key: str, base: str, *, seconds: float = SECONDS, retries: int = RETRIES) -> None:
        self._key, self._base, self._seconds, self._retries = key, base, seconds, retries

    @cached_property
    def _client(self) -> Any:
        return _sdk().StripeClient(
            self._key,
            base_addresses={"api": self._base},
            http_client=_sdk().RequestsClient(timeout=self._seconds),
            max_network_retries=self._retries,
        )

    def events(
        self, *, since: datetime, until: datetime | None = None, undelivered: bool = False
    ) -> Iterator[Sequence[Listed]]:
        """Pages, newest first; the next is asked for when this one is done with."""
        created = {"gte": int(since.timestamp())} | ({"lte": int(until.timestamp())} if until else {})
        asked: dict[str, Any] = {"limit": PAGE, "created": created}
        if undelivered:
            asked["delivery_success"] = False
        more = True
        while more:
            answer = self._get("/v1/events", asked)
            page = [_listed(event) for event in answer["data"]]
            if page:
                yield page
                asked["starting_after"] = page[-1].key
            more = bool(page) and answer.get("has_more") is True

    def refund(self, charge_key: str, payment_key: str, idempotency_key: str) -> Refunded:
        """All that is left of one payment, as fraud."""
        what = {"charge": charge_key} if charge_key else {"payment_intent": payment_key}
        try:
            answer = self._client.raw_request(
                "post", "/v1/refunds", **what, reason="fraudulent", idempotency_key=idempotency_key
            )
        except _sdk().StripeError as error:
            return _refusal(error)
        made = answer.data if isinstance(answer.data, dict) else {}
        if made.get("status") in ("failed", "canceled"):
            return Refunded("refused", detail=f"the refund is {made['status']}")
        return Refunded("accepted", provider_id=str(made.get("id", "")))

    def _get(self, path: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        try:
            answer = self._client.raw_request("get", path, **asked)
        except _sdk().StripeError as error:
            raise _ours(error) from None
        if not isinstance(answer.data, dict) or not isinstance(answer.data.get("data"), list):
            raise Unavailable("Stripe answered with something that is no list")
        return answer.data


def _listed(event: Any) -> Listed:
    if not isinstance(event, dict) or not _KEY.fullmatch(str(event.get("id", ""))):
        raise Unavailable("Stripe listed something that is no event")
    created = event.get("created")
    if not isinstance(created, int) or not 0 <= created < 2**32:
        raise Unavailable("Stripe listed an event without a time")
    body = json.dumps(event, separators=(",", ":")).encode()
    return Listed(
        event["id"], str(event.get("type", "")), datetime.fromtimestamp(created, UTC), event.get("livemode"), body
    )


def _ours(error: Any) -> GroundswellError:
    """The same in our words. The vendor's own may repeat what we sent, the key's ends included."""
    if isinstance(error, _sdk().AuthenticationError | _sdk().PermissionError):
        return Forbidden("Stripe does not accept STRIPE_API_KEY for this")
    if isinstance(error, _sdk().InvalidRequestError):
        return Invalid(f"Stripe does not understand our request ({error.code or 'no code'})")
    return Unavailable(f"Stripe does not answer ({_what(error)})")


def _refusal(error: Any) -> Refunded:
    if error.code == ALREADY_BACK:
        return Refunded("accepted")
    said = _ours(error)
    if isinstance(said, Forbidden):
        return Refunded("refused", retryable=True, detail=str(said))
    if isinstance(error, _sdk().InvalidRequestError | _sdk().IdempotencyError | _sdk().CardError):
        return Refunded("refused", detail=str(error.code or type(error).__name__))
    return Refunded("uncertain", detail=str(said))


def _what(error: Any) -> str:
    return f"HTTP {error.http_status}" if error.http_status else type(error).__name__


@cache
def _sdk() -> Any:
    return import_module("stripe")
