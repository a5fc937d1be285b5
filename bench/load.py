"""`python -m bench.load`: posts Stripe's events over kept-alive connections, each event a new one, and tells how it went; or
asks for a page (`--page /join`).

A process of its own, so that its work is not the measured server's. Each connection sends its next event when the last is
answered; nothing is under way any more when it ends. Prints one line of JSON, see `Told`.
"""

import argparse
import asyncio
import hmac
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from time import perf_counter, time
from typing import cast
from uuid import uuid4

import uvloop

from bench.report import percentile
from engine.settings import DEVELOPMENT_STRIPE_SECRET

PATH = "/webhooks/stripe"
DRAIN_SECONDS = 20.0
_PLACE = "evt_place_of_an_id"


@dataclass(frozen=True, slots=True)
class Told:
    """Of one run: answers with 200, all other ends of a request, seconds, milliseconds until answered."""

    acknowledged: int
    failed: int
    seconds: float
    p50: float
    p99: float


@dataclass(slots=True)
class _Sending:
    """What all connections share: how much is still to be sent, and what came back."""

    port: int
    until: float
    left: int
    page: str = ""
    name: str = field(default_factory=lambda: uuid4().hex)
    sent: int = 0
    failed: int = 0
    milliseconds: list[float] = field(default_factory=list)
    parts: tuple[bytes, bytes] = (b"", b"")

    def next(self) -> bytes | None:
        """One request, events signed now; None when enough was sent."""
        if self.left <= 0 or perf_counter() > self.until:
            return None
        self.left -= 1
        self.sent += 1
        if self.page:
            return self.parts[0]
        body = b"evt_%s%08d".join(self.parts) % (self.name.encode(), self.sent)
        moment = b"%d" % time()
        signature = hmac.digest(DEVELOPMENT_STRIPE_SECRET.encode(), moment + b"." + body, "sha256").hex().encode()
        return (
            b"POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: Stripe/1.0 (+https://stripe.com/docs/webhooks)\r\n"
            b"Accept: */*; q=0.5, application/xml\r\nCache-Control: no-cache\r\nContent-Length: %d\r\n"
            b"Content-Type: application/json; charset=utf-8\r\nStripe-Signature: t=%s,v1=%s,v0=%s\r\n\r\n%s"
            % (PATH.encode(), self.port, len(body), moment, signature, signature[::-1], body)
        )


class _Connection(asyncio.Protocol):
    """One connection: a request, its answer, the next."""

    def __init__(self, sending: _Sending) -> None:
        self.ended = asyncio.get_running_loop().create_future()
        self._sending = sending
        self._began = 0.0
        self._came = b""
        self._under_way = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._go_on()

    def data_received(self, data: bytes) -> None:
        """Take a piece of an answer."""
        self._came += data
        head, found, body = self._came.partition(b"\r\n\r\n")
        if not found or len(body) < _length(head):
            return
        self._came, self._under_way = b"", False
        if head[9:12] == b"200":
            self._sending.milliseconds.append((perf_counter() - self._began) * 1000)
        else:
            self._sending.failed += 1
        self._go_on()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 the name is asyncio's
        """A request whose connection is gone has failed."""
        self._sending.failed += self._under_way
        if not self.ended.done():
            self.ended.set_result(None)

    def _go_on(self) -> None:
        if (request := self._sending.next()) is None:
            self._transport.close()
            return
        self._began, self._under_way = perf_counter(), True
        self._transport.write(request)


def _length(head: bytes) -> int:
    return int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])


def event(key: str) -> dict[str, object]:
    """An event of the size that Stripe's commonly have, about 2.6 KB, of an invented donor."""
    charge = {
        "id": "ch_3QBench0Groundswell00001", "object": "charge", "amount": 2700, "amount_captured": 2700,
        "amount_refunded": 0, "application": None, "application_fee": None, "application_fee_amount": None,
        "balance_transaction": "txn_3QBench0Groundswell00001", "calculated_statement_descriptor": "COMMON GROUND MA",
        "billing_details": {
            "address": {
                "city": "Worcester", "country": "US", "line1": "14 Lincoln Street", "line2": None,
                "postal_code": "01605", "state": "MA",
            },
            "email": "rosa.delgado@example.org", "name": "Rosa Delgado", "phone": "5085550123", "tax_id": None,
        },
        "captured": True, "created": 1793664195, "currency": "usd", "customer": "cus_QBenchGround01",
        "description": "Gift to Common Ground Massachusetts", "destination": None, "dispute": None, "disputed": False,
        "failure_balance_transaction": None, "failure_code": None, "failure_message": None, "fraud_details": {},
        "livemode": False, "on_behalf_of": None, "order": None, "paid": True, "payment_intent": "pi_3QBench0Ground0001",
        "metadata": {
            "chapter": "worcester", "form": "common-ground", "refcode": "nov-letter", "employer": "Worcester Public Library",
            "occupation": "Librarian", "attestation": "citizen-or-permanent-resident;own-funds;adult",
        },
        "outcome": {
            "advice_code": None, "network_advice_code": None, "network_decline_code": None, "type": "authorized",
            "network_status": "approved_by_network", "reason": None, "risk_level": "normal", "risk_score": 21,
            "seller_message": "Payment complete.",
        },
        "payment_method": "pm_1QBenchGroundswell000001",
        "payment_method_details": {
            "card": {
                "amount_authorized": 2700, "authorization_code": "004113", "brand": "visa", "country": "US",
                "checks": {"address_line1_check": "pass", "address_postal_code_check": "pass", "cvc_check": "pass"},
                "exp_month": 2, "exp_year": 2029, "extended_authorization": {"status": "disabled"}, "funding": "credit",
                "incremental_authorization": {"status": "unavailable"}, "installments": None, "last4": "4242",
                "mandate": None, "multicapture": {"status": "unavailable"}, "network": "visa",
                "regulated_status": "unregulated", "wallet": None,
            },
            "type": "card",
        },
        "receipt_email": None, "receipt_number": None, "refunded": False, "review": None, "shipping": None,
        "source": None, "source_transfer": None, "statement_descriptor": None, "statement_descriptor_suffix": None,
        "status": "succeeded", "transfer_data": None, "transfer_group": None,
    }  # fmt: skip
    return {
        "id": key, "object": "event", "api_version": "2026-10-28.dahlia", "created": 1793664197, "livemode": False,
        "data": {"object": charge}, "pending_webhooks": 1, "type": "charge.succeeded",
        "request": {"id": "req_QBenchGround01", "idempotency_key": "6e0ac9a6-0b0e-4f36-9b5d-3d7f0f0e8f51"},
    }  # fmt: skip


def _asking(port: int, page: str) -> bytes:
    """A request for a page, as a browser makes it."""
    return (
        f"GET {page} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8\r\n"
        "Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\n"
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n"
        "Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none\r\n\r\n"
    ).encode()


async def send(port: int, connections: int, seconds: float, requests: int, page: str = "") -> Told:
    """Send until the seconds are over or as many requests are sent, then wait for what is under way."""
    began = perf_counter()
    before, _, after = json.dumps(event(_PLACE)).replace("%", "%%").partition(_PLACE)
    parts = (_asking(port, page), b"") if page else (before.encode(), after.encode())
    sending = _Sending(port, began + seconds, requests, page, parts=parts)
    loop = asyncio.get_running_loop()
    opened = [await loop.create_connection(lambda: _Connection(sending), "127.0.0.1", port) for _ in range(connections)]
    async with asyncio.timeout(seconds + DRAIN_SECONDS):
        await asyncio.gather(*(protocol.ended for _, protocol in opened))
    took, times = perf_counter() - began, sending.milliseconds
    p50, p99 = (percentile(times, n) if times else 0.0 for n in (50, 99))
    return Told(len(times), sending.failed, took, p50, p99)


def main(arguments: Sequence[str] | None = None) -> None:
    """Send as asked, and print what became of it."""
    parser = argparse.ArgumentParser(prog="python -m bench.load")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--requests", type=int, default=10**9)
    parser.add_argument("--page", default="")
    asked = parser.parse_args(arguments)
    told = uvloop.run(send(asked.port, asked.connections, asked.seconds, asked.requests, asked.page))
    print(json.dumps(asdict(told)))


if __name__ == "__main__":
    main()
