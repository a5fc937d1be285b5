"""A SendGrid on this machine: its lists of suppressions, over real HTTP, paged by its rules.

`mishaps` are answered first, one a request: an HTTP status, "silence" (no answer until the caller gives up), or other words.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

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


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, sendgrid: FakeSendgrid) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.sendgrid = sendgrid


class _Handler(BaseHTTPRequestHandler):
    server: "_Server"
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        sendgrid, parts = self.server.sendgrid, urlsplit(self.path)
        name = parts.path.removeprefix("/v3/suppression/")
        asked = {key: int(values[0]) for key, values in parse_qs(parts.query).items()}
        assert asked["limit"] <= 500, asked
        sendgrid.asked.append((name, asked["offset"]))
        if self.headers["Authorization"] != f"Bearer {KEY}":
            self._answer(401, b'{"errors":[{"field":null,"message":"authorization required"}]}')
        elif not sendgrid.mishaps:
            page = sendgrid.lists[name][asked["offset"] : asked["offset"] + asked["limit"]]
            self._answer(200, json.dumps(page).encode())
        elif isinstance(mishap := sendgrid.mishaps.pop(0), int):
            self._answer(mishap, b'{"errors":[{"message":"rosa@example.org"}]}')
        elif mishap == "silence":
            sendgrid.ending.wait(30)
            self.close_connection = True
        else:
            self._answer(200, mishap.encode())

    def do_DELETE(self) -> None:
        email = unquote(urlsplit(self.path).path.removeprefix("/v3/asm/suppressions/global/"))
        listed = self.server.sendgrid.lists["unsubscribes"]
        found = [each for each in listed if each["email"] == email]
        for each in found:
            listed.remove(each)
        self._answer(204 if found else 404, b"")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def running() -> Iterator[FakeSendgrid]:
    """It listens on a port of its own until the block ends."""
    sendgrid = FakeSendgrid()
    server = _Server(sendgrid)
    sendgrid.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield sendgrid
    finally:
        sendgrid.ending.set()
        server.shutdown()
        thread.join()
        server.server_close()
