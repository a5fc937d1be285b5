"""SendGrid as the engine's Mailer: one POST to /v3/mail/send for up to 1,000 people, over connections that are kept.

The body is in the format of Mail Send v3 (https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send; the
`sendgrid` package builds the same). What a copy fills in are `substitutions`, at most 10,000 bytes each by that reference.
202 means that all of it was taken, and there is no key by which a request could be repeated: what the answer leaves open
stays open. A `category` is opaque; our ids come back with each event.
"""

import re
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from time import monotonic, time
from typing import Any

import orjson
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from engine import metrics
from engine.ports import Answer, Copy, Sheet
from engine.sources import letter_ids

CONNECT_SECONDS, CALL_SECONDS = 3.0, 15.0
LARGEST_ANSWER = 64 * 1024
CATEGORY = "letters"
PROVIDER = "sendgrid"  # in the metrics
SHORTEST_WAIT, LONGEST_WAIT = 1.0, 300.0  # seconds, that a 429 is believed
_NOT_IN_A_NAME = re.compile(r"[;,<>\"\\]+|=\?")  # a recipient's name may not hold these, nor what programs would decode
_PLACE = re.compile(r"personalizations\.(\d+)\.")
_CLOSED = frozenset({401, 403, 404, 405})  # our key, or our address of it, is wrong


class SendgridMail:
    """One account, by its key. Every request ends by itself after `call_seconds`."""

    most_copies = 1000
    most_substitution_bytes = 10_000
    most_bytes = 20_000_000  # 30 MB is what is commonly told

    def __init__(self, key: str, host: str, *, open_tracking: bool = False, call_seconds: float = CALL_SECONDS) -> None:
        self.call_seconds = call_seconds
        self._open_tracking = open_tracking
        self._url = f"{host}/v3/mail/send"
        self._headers = {
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/json",
            "Accept": "application/json",
        }
        self._pool = urllib3.PoolManager(
            maxsize=8, retries=False, timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=call_seconds)
        )
        for answer in ("202", "401", "none"):  # from nought on: who watches sees the first of each
            metrics.ANSWERS.labels(PROVIDER, answer)
        self._pool.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}

    def hand_over(
        self, handover_id: int, sheet: Sheet, copies: Sequence[Copy], *, before: Callable[[], bool]
    ) -> Answer | None:
        """Make one request. Never raises for anything that SendGrid or a network does."""
        try:
            body = orjson.dumps(mail(handover_id, sheet, copies, open_tracking=self._open_tracking))
        except orjson.JSONEncodeError:
            return Answer("bad", detail="a word in it is no text")
        if len(body) > self.most_bytes:
            return Answer("bad", detail="larger than a request can be")
        began = monotonic()
        call = _Call(began + self.call_seconds, before)
        _calls.at_hand = call
        try:
            return self._asked(body, sheet)
        except _Asleep:
            return None
        except (urllib3.exceptions.HTTPError, HTTPException, OSError) as error:
            metrics.ANSWERS.labels(PROVIDER, "none").inc()
            detail = f"SendGrid does not answer ({type(error).__name__})"
            return Answer("uncertain" if call.began else "away", detail=detail)
        finally:
            if call.began:
                metrics.ANSWER_SECONDS.labels(PROVIDER).observe(monotonic() - began)
            call.end()
            _calls.at_hand = None

    def find(self, handover_ids: Sequence[int]) -> Mapping[int, str] | None:
        """It cannot be asked what it took."""
        del handover_ids
        return None

    def _asked(self, body: bytes, sheet: Sheet) -> Answer:
        answer = self._pool.request(
            "POST", self._url, body=body, headers=self._headers, redirect=False, preload_content=False
        )
        try:
            said = answer.read(LARGEST_ANSWER)
        except urllib3.exceptions.HTTPError:  # its status is told all the same
            said = b""
        answer.release_conn()
        metrics.ANSWERS.labels(PROVIDER, str(answer.status)).inc()
        return _answer(answer.status, answer.headers, said, sheet)


def mail(handover_id: int, sheet: Sheet, copies: Sequence[Copy], *, open_tracking: bool = False) -> dict[str, Any]:
    """The body of a request."""
    handover = letter_ids.encode(handover_id)
    made: dict[str, Any] = {
        "personalizations": [_personalization(copy, handover) for copy in copies],
        "from": {"email": sheet.from_email, "name": sheet.from_name},
        "subject": sheet.subject,
        "content": [{"type": "text/plain", "value": sheet.text}, {"type": "text/html", "value": sheet.html}],
        "categories": [CATEGORY],
        "tracking_settings": {
            "click_tracking": {"enable": sheet.track, "enable_text": False},
            "open_tracking": {"enable": sheet.track and open_tracking},
            "subscription_tracking": {"enable": False},
            "ganalytics": {"enable": False},
        },
    }
    if sheet.reply_to:
        made["reply_to"] = {"email": sheet.reply_to}
    return made


def _personalization(copy: Copy, handover: str) -> dict[str, Any]:
    to = {"email": copy.to_email}
    if name := _NOT_IN_A_NAME.sub(" ", copy.to_name).strip():
        to["name"] = name
    ids = {letter_ids.MESSAGE_ARG: letter_ids.encode(copy.message_id), letter_ids.HANDOVER_ARG: handover}
    if copy.code:
        ids[letter_ids.CODE_ARG] = copy.code
    made: dict[str, Any] = {"to": [to], "headers": copy.headers, "custom_args": ids}
    if copy.substitutions:
        made["substitutions"] = copy.substitutions
    return made


def _answer(status: int, headers: Mapping[str, str], said: bytes, sheet: Sheet) -> Answer:
    """What an answer means. 5xx: it was probably not taken, and nobody can prove it.

    400 or 403 for a field of our sender: its address is not verified
    (https://www.twilio.com/docs/sendgrid/for-developers/sending-email/sender-identity); our key is as good as before.
    """
    if status == 202:
        return Answer("accepted", provider_id=headers.get("X-Message-Id", ""))
    problems = _problems(said)
    detail = f"SendGrid: HTTP {status}" + (f" ({problems[0]})" if problems else "")
    if status in (400, 403) and (sender := _sender(problems, sheet)):
        return Answer("sender", detail=detail, sender=sender)
    if status in (400, 413):
        places = {int(found[1]) for problem in problems if (found := _PLACE.match(f"{problem}."))}
        return Answer("bad", detail=detail, culprits=tuple(sorted(places)))
    if status == 429:
        return Answer("busy", detail=detail, wait_seconds=_wait(headers))
    if status in _CLOSED:
        return Answer("closed", detail=detail)
    return Answer("uncertain", detail=detail)


def _problems(said: bytes) -> list[str]:
    """The fields that an answer names; its words are never repeated, for they may hold an address."""
    try:
        told = orjson.loads(said)["errors"]
        return [str(each["field"])[:100] for each in told if each.get("field")]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []


def _sender(problems: Sequence[str], sheet: Sheet) -> str:
    """The address of ours that these fields are about; "" when they are about none."""
    ours = {"from": sheet.from_email, "reply_to": sheet.reply_to}
    return next((ours[field] for problem in problems if (field := problem.partition(".")[0]) in ours), "")


def _wait(headers: Mapping[str, str]) -> float:
    """Seconds until the limit is new: `Retry-After`, or `X-RateLimit-Reset` (Unix seconds) against the answer's own time."""
    for name in ("Retry-After", "X-RateLimit-Reset"):
        told = headers.get(name, "")
        if told.isascii() and told.isdigit() and len(told) < 12:
            seconds = float(told)
            return min(max(seconds if seconds < 10**6 else _until(seconds, headers), SHORTEST_WAIT), LONGEST_WAIT)
    return 10.0


def _until(moment: float, headers: Mapping[str, str]) -> float:
    """Seconds until then, by the answer's own time; by ours, if that tells none."""
    try:
        told = parsedate_to_datetime(headers["Date"]).timestamp()
    except (KeyError, TypeError, ValueError, OverflowError):
        told = time()
    return moment - told


class _Asleep(Exception):
    """This process slept through its claim: nothing may leave any more."""


class _Call:
    """One request: whether a byte of it has left, and its end, after which the connection is shut whatever it does."""

    def __init__(self, ends: float, before: Callable[[], bool]) -> None:
        self.began = False
        self._before = before
        self._timer: threading.Timer | None = None
        self._ends = ends

    def begin(self, connection: HTTPConnection) -> None:
        """Directly before the first byte."""
        if not self._before():
            raise _Asleep
        self.began = True
        self._timer = threading.Timer(max(0.0, self._ends - monotonic()), _shut, (connection.sock,))
        self._timer.daemon = True
        self._timer.start()

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


_calls = threading.local()


def _shut(sock: Any) -> None:
    """Wake whoever reads from a peer that drips: a time-out of a socket counts from its last byte."""
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _watch(connection: HTTPConnection) -> None:
    """Tell the call at hand before the first byte of its request leaves."""
    if connection.sock is None:
        connection.connect()
    call = getattr(_calls, "at_hand", None)
    if call is not None and not call.began:
        call.begin(connection)


class _Connection(HTTPConnection):
    def send(self, data: Any) -> None:
        _watch(self)
        super().send(data)


class _SecureConnection(HTTPSConnection):
    def send(self, data: Any) -> None:
        _watch(self)
        super().send(data)


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _SecureConnection
