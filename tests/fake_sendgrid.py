"""A SendGrid on this machine: its lists of suppressions, over real HTTP, paged by its rules.

`mishaps` are answered first, one a request: an HTTP status, "silence" (no answer until the caller gives up), or other words.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.loopback import Handler, Server, serving

KEY = "SG.of-the-tests-and-of-nothing-else"


class FakeSendgrid:
    """What it lists and what it was asked."""

    def __init__(self) -> None:
        self.lists: dict[str, list[dict[str, Any]]] = {
            name: [] for name in ("bounces", "spam_reports", "invalid_emails", "unsubscribes")
        }
        self.mishaps: list[int | str] = []
        self.asked: list[tuple[str, int]] = []  # list and offset
        self.ending = threading.Event()
        self.url = ""


class _Server(Server):
    def __init__(self, sendgrid: FakeSendgrid) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.sendgrid = sendgrid


class _Handler(Handler, BaseHTTPRequestHandler):
    server: "_Server"

    def do_GET(self) -> None:
        sendgrid, parts = self.server.sendgrid, urlsplit(self.path)
        name = parts.path.removeprefix("/v3/suppression/")
        asked = {key: int(values[0]) for key, values in parse_qs(parts.query).items()}
        assert asked["limit"] <= 500, asked
        sendgrid.asked.append((name, asked["offset"]))
        if self.headers["Authorization"] != f"Bearer {KEY}":
            self.answer(401, b'{"errors":[{"field":null,"message":"authorization required"}]}')
        elif not sendgrid.mishaps:
            page = sendgrid.lists[name][asked["offset"] : asked["offset"] + asked["limit"]]
            self.answer(200, json.dumps(page).encode())
        elif isinstance(mishap := sendgrid.mishaps.pop(0), int):
            self.answer(mishap, b'{"errors":[{"message":"rosa@example.org"}]}')
        elif mishap == "silence":
            sendgrid.ending.wait(30)
            self.close_connection = True
        else:
            self.answer(200, mishap.encode())

    def do_DELETE(self) -> None:
        email = unquote(urlsplit(self.path).path.removeprefix("/v3/asm/suppressions/global/"))
        listed = self.server.sendgrid.lists["unsubscribes"]
        found = [each for each in listed if each["email"] == email]
        for each in found:
            listed.remove(each)
        self.answer(204 if found else 404, b"")


@contextmanager
def running() -> Iterator[FakeSendgrid]:
    """It listens on a port of its own until the block ends."""
    sendgrid = FakeSendgrid()
    with serving(_Server(sendgrid), sendgrid.ending.set) as sendgrid.url:
        yield sendgrid
