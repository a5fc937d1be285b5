"""A Stripe on this machine: the two lists and the one order that we use of its API, over real HTTP, for the real SDK.

`mishaps` are answered first, one a request: an HTTP status, or "silence" (no answer until the caller gives up). A refund
that meets "crash" is made, and the connection lost before the answer.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.loopback import Handler, Server, serving

KEY = "rk_test_of_the_tests"


class FakeStripe:
    """What it knows and what it was asked."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []  # newest first, as Stripe lists them
        self.undelivered: set[str] = set()
        self.refunds: dict[str, dict[str, Any]] = {}  # by idempotency key
        self.refund_error: str | None = None
        self.mishaps: list[int | str] = []
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.ending = threading.Event()
        self.url = ""

    def pages(self) -> int:
        """How many pages of events were asked for, with success or without."""
        return sum(path == "/v1/events" for path, _ in self.asked)

    def listed(self, asked: dict[str, str]) -> dict[str, Any]:
        """One page, by Stripe's rules."""
        assert asked.get("delivery_success", "true") in ("true", "false"), asked
        found = self.events
        if "starting_after" in asked:
            places = [event["id"] for event in found]
            found = found[places.index(asked["starting_after"]) + 1 :]
        found = [
            event for event in found
            if int(asked.get("created[gte]", 0)) <= event["created"] <= int(asked.get("created[lte]", 2**40))
            and (asked.get("delivery_success") != "false" or event["id"] in self.undelivered)
        ]  # fmt: skip
        most = int(asked["limit"])
        return {"object": "list", "url": "/v1/events", "data": found[:most], "has_more": len(found) > most}

    def refunded(self, key: str, asked: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """A refund once, or the error that it is to make."""
        if self.refund_error:
            return 400, {"error": {"type": "invalid_request_error", "code": self.refund_error, "message": "no"}}
        made = {"id": f"re_{len(self.refunds) + 1}", "object": "refund", "status": "succeeded"} | asked
        return 200, self.refunds.setdefault(key, made)


class _Server(Server):
    def __init__(self, stripe: FakeStripe) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.stripe = stripe


class _Handler(Handler, BaseHTTPRequestHandler):
    server: "_Server"

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if self._goes_well(parts.path, asked):
            self._answer(200, self.server.stripe.listed(asked))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        asked = {name: values[0] for name, values in parse_qs(body).items()}
        if self.server.stripe.mishaps[:1] == ["crash"]:
            self.server.stripe.refunded(self.headers["Idempotency-Key"], asked)
        if self._goes_well(self.path, asked):
            self._answer(*self.server.stripe.refunded(self.headers["Idempotency-Key"], asked))

    def _goes_well(self, path: str, asked: dict[str, str]) -> bool:
        self.server.stripe.asked.append((path, asked))
        if self.headers["Authorization"] != f"Bearer {KEY}":
            self._answer(401, {"error": {"type": "invalid_request_error", "message": "Invalid API Key: rk_****"}})
            return False
        if not self.server.stripe.mishaps:
            return True
        mishap = self.server.stripe.mishaps.pop(0)
        if isinstance(mishap, int):
            self._answer(mishap, {"error": {"type": "api_error", "message": "it is us"}})
        else:
            self.server.stripe.ending.wait(30 if mishap == "silence" else 0)
            self.close_connection = True
        return False

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        self.answer(status, json.dumps(document).encode())


@contextmanager
def running() -> Iterator[FakeStripe]:
    """It listens on a port of its own until the block ends."""
    stripe = FakeStripe()
    with serving(_Server(stripe), stripe.ending.set) as stripe.url:
        yield stripe
