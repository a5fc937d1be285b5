"""A SendGrid on this machine that takes letters: it holds requests to the documented limits, and misbehaves when told to.

What it accepts it writes to a log, fsynced, before it answers: that is the truth about who got what. `script` says how the
next requests are answered, one word each (see MODES); after that everything is well. Limits are those of Mail Send v3.
"""

import json
import os
import random
import re
import signal
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson

from tests import signing

KEY = "SG.of-the-tests-and-of-nothing-else"
MODES = (
    "ok", "no_id", "accept_then_hang", "accept_then_reset", "hang", "reset", "busy", "busy_moment", "busy_no_date", "broken",
    "broken_accepted", "unauthorized", "forbidden", "unverified", "gone", "drip", "drip_head", "garbage", "bad", "bad_named",
    "large",
)  # fmt: skip
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_HEADERS_NOT_SET = {
    "x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "to", "from", "subject", "reply-to", "cc", "bcc",
}  # fmt: skip


class StandIn:
    """One account. `bad_addresses`: a request that holds one is answered 400; `names_it`: and says which."""

    def __init__(self, log: Path) -> None:
        self.path = log
        self.script: list[str] = []
        self.bad_addresses: set[str] = set()
        self.names_it = False
        self.error: tuple[int, str | None] = (
            400,
            None,
        )  # the answer of mode "error_told", and the field it names
        self.hang_seconds = 30.0
        self.wrong: list[str] = []  # what broke the documented limits
        self.requests = 0
        self.connections = 0
        self.ending = threading.Event()
        self.url = ""
        self.silent_about: frozenset[str] = frozenset()  # modes: of what it took in them it never tells anything
        self.victim: int | None = None  # the process that is killed once a whole request of it has come
        self._lock = threading.Lock()
        self._open: set[object] = set()
        self._nothing_open = threading.Condition()
        self._log = log.open("ab", buffering=0)

    def accepted(self) -> list[dict[str, Any]]:
        """Every letter that it ever accepted, doubles included: message, handover, to, and the letter itself."""
        whole, _, _ = self.path.read_bytes().rpartition(b"\n")  # the last line may be on its way
        return [json.loads(line) for line in whole.splitlines()]

    def times(self) -> Counter[int]:
        """How often each of our letters was accepted, by its id."""
        return Counter(int(each["message"], 36) for each in self.accepted())

    def take(self, body: dict[str, Any], provider_id: str, mode: str) -> None:
        lines = []
        for each in body["personalizations"]:
            substitutions = each.get("substitutions", {})
            letter = {part["type"]: _filled(part["value"], substitutions) for part in body["content"]}
            lines.append({
                "message": each["custom_args"]["gs_message"], "handover": each["custom_args"]["gs_handover"],
                "to": each["to"][0]["email"], "mode": mode, "subject": _filled(body["subject"], substitutions),
                "html": letter["text/html"], "text": letter["text/plain"], "headers": each.get("headers", {}),
                "from": body["from"], "id": provider_id,
            })  # fmt: skip
        self.keep(lines)

    def keep(self, lines: Sequence[dict[str, Any]]) -> None:
        """Write down what was accepted, before anybody is answered."""
        with self._lock:
            self._log.write(b"".join(orjson.dumps(line) + b"\n" for line in lines))
            os.fsync(self._log.fileno())

    def next(self) -> str:
        with self._lock:
            self.requests += 1
            return self.script.pop(0) if self.script else "ok"

    def opened(self, request: object) -> None:
        with self._nothing_open:
            self._open.add(request)

    def done(self, request: object) -> None:
        """With this request nothing more will happen but waiting."""
        with self._nothing_open:
            self._open.discard(request)
            self._nothing_open.notify_all()

    def settle(self) -> None:
        """Wait until all that came has been accepted or not."""
        with self._nothing_open:
            assert self._nothing_open.wait_for(lambda: not self._open, 20)

    def events(self, *kinds: str, seed: int = 1, copies: int = 3) -> list[bytes]:
        """Signed-to-be bodies of what became of all that was accepted: each event several times, in any order."""
        chance = random.Random(seed)
        told = [
            {
                "email": each["to"], "event": kind, "timestamp": int(time.time()) - 60 + place,
                "sg_message_id": each["id"] + ".f1", "sg_event_id": f"{each['message']}-{each['handover']}-{kind}",
                "gs_message": each["message"], "gs_handover": each["handover"],
            }
            for each in self.accepted() if each["mode"] not in self.silent_about for place, kind in enumerate(kinds)
        ] * copies  # fmt: skip
        chance.shuffle(told)
        return [orjson.dumps(told[start : start + 200]) for start in range(0, len(told), 200)]

    def close(self) -> None:
        self._log.close()


def signed(body: bytes) -> list[tuple[str, str]]:
    """The headers of SendGrid's event webhook for this body."""
    return signing.signed(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, stand_in: StandIn) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.stand_in = stand_in

    def process_request(self, request: Any, client_address: Any) -> None:
        self.stand_in.connections += 1
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error of ours."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    mode = "ok"

    def do_GET(self) -> None:
        """Its lists of addresses that it writes to no more: empty."""
        self._answer(200, b"[]")

    def do_POST(self) -> None:
        stand_in = self.server.stand_in
        stand_in.opened(self)
        try:
            self._taken_in(stand_in, self.rfile.read(int(self.headers["Content-Length"])))
        finally:
            stand_in.done(self)

    def _taken_in(self, stand_in: StandIn, raw: bytes) -> None:
        mode = self.mode = stand_in.next()
        if stand_in.victim is not None:
            os.kill(stand_in.victim, signal.SIGKILL)
            stand_in.victim = None
        if self.headers["Authorization"] != f"Bearer {KEY}" or mode == "unauthorized":
            self._error(401, "authorization required", None)
            return
        getattr(self, f"_{mode}", self._ok)(raw)

    def _ok(self, raw: bytes) -> None:
        body = self._understood(raw)
        if body is not None:
            provider_id = self._taken(body)
            self._answer(202, b"", {"X-Message-Id": provider_id, "X-RateLimit-Remaining": "99"})

    def _no_id(self, raw: bytes) -> None:
        if (body := self._understood(raw)) is not None:
            self._taken(body)
            self._answer(202, b"")

    def _accept_then_hang(self, raw: bytes) -> None:
        self._taken(orjson.loads(raw))
        self._hang(raw)

    def _accept_then_reset(self, raw: bytes) -> None:
        self._taken(orjson.loads(raw))
        self._reset(raw)

    def _hang(self, _: bytes) -> None:
        self.server.stand_in.done(self)
        self.server.stand_in.ending.wait(self.server.stand_in.hang_seconds)
        self.close_connection = True

    def _reset(self, _: bytes) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        with suppress(OSError):
            self.connection.close()

    def _busy(self, _: bytes) -> None:
        self._error(429, "too many requests", None, {"Retry-After": "7"})

    def _busy_moment(self, _: bytes) -> None:
        self._error(429, "too many requests", None, {"X-RateLimit-Reset": str(int(time.time()) + 20)})

    def _busy_no_date(self, raw: bytes) -> None:
        self.date_time_string = lambda *_: "some day"  # type: ignore[method-assign]
        self._busy_moment(raw)

    def _broken(self, _: bytes) -> None:
        self._answer(503, b"<html>upstream</html>")

    def _broken_accepted(self, raw: bytes) -> None:
        self._taken(orjson.loads(raw))
        self._answer(500, b'{"errors":[{"message":"internal error"}]}')

    def _forbidden(self, _: bytes) -> None:
        self._error(403, "access forbidden", None)

    def _unverified(self, _: bytes) -> None:
        """As its page "Sender Identity" says: for-developers/sending-email/sender-identity in SendGrid's documentation."""
        said = (
            "The from address does not match a verified Sender Identity. Mail cannot be sent until this error is resolved. "
            "Visit https://sendgrid.com/docs/for-developers/sending-email/sender-identity/ to see the Sender Identity "
            "requirements"
        )
        self._error(403, said, "from")

    def _error_told(self, _: bytes) -> None:
        status, field = self.server.stand_in.error
        self._error(status, "something of it", field)

    def _gone(self, _: bytes) -> None:
        self._error(404, "not found", None)

    def _large(self, _: bytes) -> None:
        self._error(413, "payload too large", None)

    def _bad(self, _: bytes) -> None:
        self._error(400, "rosa@example.org is not valid", None)

    def _bad_named(self, _: bytes) -> None:
        self._error(400, "does not contain a valid address: rosa@example.org", "personalizations.0.to.0.email")

    def _garbage(self, _: bytes) -> None:
        with suppress(OSError):
            self.wfile.write(b"\x00\xff not HTTP at all\r\n\r\n")
        self.close_connection = True

    def _drip(self, raw: bytes) -> None:
        """An answer that never ends: accepted, and said a byte at a time."""
        provider_id = self._taken(orjson.loads(raw))
        head = f"HTTP/1.1 202 Accepted\r\nX-Message-Id: {provider_id}\r\nContent-Length: 1000\r\n\r\n"
        self._dribble(head.encode(), b"x" * 1000)

    def _drip_head(self, _: bytes) -> None:
        self._dribble(b"", b"HTTP/1.1 202 Accepted\r\n" + b"X-Slow: yes\r\n" * 1000)

    def _dribble(self, at_once: bytes, slowly: bytes) -> None:
        self.server.stand_in.done(self)
        with suppress(OSError):
            self.wfile.write(at_once)
            for byte in slowly:
                if self.server.stand_in.ending.wait(0.1):
                    break
                self.wfile.write(bytes([byte]))
        self.close_connection = True

    def _understood(self, raw: bytes) -> dict[str, Any] | None:
        """The body; None when it was answered 400."""
        stand_in, body = self.server.stand_in, orjson.loads(raw)
        stand_in.wrong += _wrong(body, raw)
        for place, each in enumerate(body["personalizations"]):
            if each["to"][0]["email"] in stand_in.bad_addresses:
                field = f"personalizations.{place}.to.0.email" if stand_in.names_it else None
                self._error(400, f"{each['to'][0]['email']} is not valid", field)
                return None
        return dict(body)

    def _taken(self, body: dict[str, Any]) -> str:
        provider_id = f"prov{os.urandom(6).hex()}"
        self.server.stand_in.take(body, provider_id, self.mode)
        return provider_id

    def _error(self, status: int, message: str, field: str | None, headers: dict[str, str] | None = None) -> None:
        body = orjson.dumps({"errors": [{"message": message, "field": field, "help": None}]})
        self._answer(status, body, headers)

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        with suppress(OSError):
            self.send_response(status)
            for name, value in {
                "Content-Type": "application/json",
                "Content-Length": str(len(body)),
                **(headers or {}),
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def _filled(text: str, substitutions: dict[str, str]) -> str:
    for token, value in substitutions.items():
        text = text.replace(token, value)
    return text


def _wrong(body: dict[str, Any], raw: bytes) -> Iterator[str]:
    """Where a request breaks what SendGrid documents."""
    everyone = body["personalizations"]
    if len(raw) > 30_000_000:
        yield "larger than 30 MB"
    yield from _wrong_together([to["email"].lower() for each in everyone for to in each["to"]], len(everyone))
    for each in everyone:
        yield from _wrong_alone(each)
    if not body["subject"] or not all(part["value"] for part in body["content"]):
        yield "an empty subject or content"
    if [part["type"] for part in body["content"]] != ["text/plain", "text/html"]:
        yield "the order of contents"
    if not _ADDRESS.fullmatch(body["from"]["email"]) or not body["from"]["email"].isascii():
        yield "the sender's address"
    if len(body.get("categories", ())) > 10 or any(len(each) > 255 for each in body.get("categories", ())):
        yield "categories"


def _wrong_together(addresses: list[str], personalizations: int) -> Iterator[str]:
    if not 1 <= personalizations <= 1000 or len(addresses) > 1000:
        yield f"{personalizations} personalizations"
    if len(set(addresses)) < len(addresses):
        yield "an address twice"


def _wrong_alone(each: dict[str, Any]) -> Iterator[str]:
    if len(orjson.dumps(each.get("substitutions", {}))) > 10_000:
        yield "substitutions over 10,000 bytes"
    if len(orjson.dumps(each.get("custom_args", {}))) > 10_000:
        yield "custom_args over 10,000 bytes"
    if not all(isinstance(value, str) for value in {**each.get("substitutions", {}), **each["custom_args"]}.values()):
        yield "a substitution or custom_arg that is no text"
    if {name.lower() for name in each.get("headers", {})} & _HEADERS_NOT_SET:
        yield "a header that cannot be set"
    if any(not value.isascii() or "\n" in value or "\r" in value for value in each.get("headers", {}).values()):
        yield "a header that is no header"
    name = each["to"][0].get("name", "")
    if ";" in name or "," in name:
        yield "; or , in a name"
    if not _ADDRESS.fullmatch(each["to"][0]["email"]):
        yield "an address that is none"


@contextmanager
def running(folder: Path, script: Sequence[str] = ()) -> Iterator[StandIn]:
    """It listens on a port of its own until the block ends."""
    stand_in = StandIn(folder / "accepted.jsonl")
    stand_in.script = list(script)
    with listening(stand_in):
        yield stand_in


@contextmanager
def listening(stand_in: StandIn) -> Iterator[StandIn]:
    """This one listens until the block ends."""
    server = _Server(stand_in)
    stand_in.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield stand_in
    finally:
        stand_in.ending.set()
        server.shutdown()
        thread.join()
        server.server_close()
        stand_in.close()
