"""SendGrid's event webhook: arrays of up to thousands of events, split first, then read one by one.

Shapes from the vendor's documentation and its published bodies. `event` names the kind; `timestamp` is in Unix seconds
(milliseconds and text were seen); our own ids come back at the top level; `sg_message_id` begins with the id that the
provider gave to the handover, up to the first full stop. User agents and network addresses are never kept.
"""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from engine.errors import Invalid
from engine.events import AccountReported, Event, LetterReported, RawEvent
from engine.sources import letter_ids
from engine.sources.words import Ignored, Split, clean, email_address, number, read_json

MOST_ELEMENTS = 20_000
LONGEST_URL = 1_000  # bytes: it is part of an index
LONGEST_REASON, LONGEST_ADDRESS, LONGEST_ID, LONGEST_STATUS = 500, 320, 100, 100
EARLIEST = datetime(2009, 1, 1, tzinfo=UTC)  # the provider's first year
AHEAD = timedelta(days=1)  # an event cannot have happened after it came; clocks differ
MILLISECONDS = 10**11  # from here on no seconds are meant

# Their kinds in lower case, and how we call them.
KINDS = {
    "processed": "processed",
    "delivered": "delivered",
    "deferred": "deferred",
    "bounce": "bounce",
    "blocked": "blocked",
    "dropped": "dropped",
    "open": "open",
    "click": "click",
    "spamreport": "spamreport",
    "unsubscribe": "unsubscribe",
    "group_unsubscribe": "unsubscribe",
}
# A stranger who can send through the same account could say it of anybody.
RESUBSCRIBED = frozenset({"group_resubscribe", "resubscribe"})
ACCOUNT = "account_status_change"
# Why the provider did not even try, when the address is the reason. All others are about this letter.
DROPPED_FOR_ADDRESS = {
    "bounced address": "bounce",
    "invalid": "invalid",
    "spam reporting address": "complaint",
    "unsubscribed address": "unsubscribe",
}
SUPPRESSING = {"bounce": "bounce", "spamreport": "complaint", "unsubscribe": "unsubscribe"}

# Only where one element ends and the next begins is looked at: each is read strictly when its turn comes.
_ELEMENT = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str, strict=False)
_GAP = re.compile(r"[ \t\r\n]*")
_SUSPENDED = re.compile(r"(?<!un)(suspend|ban|deactivat)")
_NAME = re.compile(r"[a-z_]{1,40}")
_ADDRESS = re.compile(r"\S+@\S+")


def parse(raw: RawEvent) -> list[Event] | Ignored | Split:
    """What one element says; of a whole body, its elements byte for byte. Raises Invalid."""
    if raw.kind == "part" or raw.body.lstrip()[:1] == b"{":
        return _read(raw, read_json(raw.body))
    bodies = _elements(raw.body)
    return Split(tuple(bodies)) if bodies else Ignored("an empty array")


def _elements(body: bytes) -> list[bytes]:
    """The elements of an array, as they were sent. Raises Invalid when it is none."""
    text = body.decode("utf-8", "surrogateescape")  # what is no UTF-8 is one element's fault
    place = _gap(text, 0)
    if text[place : place + 1] != "[":
        raise Invalid("not an array of events")
    found: list[bytes] = []
    place = _gap(text, place + 1)
    if text[place : place + 1] == "]":
        return _ended(text, place, found)
    while True:
        try:
            _, end = _ELEMENT.raw_decode(text, place)
        except RecursionError:
            raise Invalid("nested too deeply") from None
        except ValueError:
            raise Invalid("not valid JSON") from None
        found.append(text[place:end].encode("utf-8", "surrogateescape"))
        place = _gap(text, end)
        if text[place : place + 1] != ",":
            return _ended(text, place, found)
        place = _gap(text, place + 1)


def _ended(text: str, place: int, found: list[bytes]) -> list[bytes]:
    if text[place : place + 1] != "]" or _gap(text, place + 1) != len(text):
        raise Invalid("not valid JSON")
    if len(found) > MOST_ELEMENTS:
        raise Invalid(f"more than {MOST_ELEMENTS} events")
    return found


def _gap(text: str, place: int) -> int:
    found = _GAP.match(text, place)
    return found.end() if found else place


def _read(raw: RawEvent, document: Any) -> list[Event] | Ignored:
    if not isinstance(document, dict):
        raise Invalid("not an event")
    kind = clean(document.get("event")).lower()
    if kind == ACCOUNT:
        return [AccountReported(raw.id, _status(document), _moment(document, raw.received_at))]
    if kind in RESUBSCRIBED:
        return Ignored("subscribed again at the provider: an event alone opens no address")
    if kind not in KINDS:
        named = f": {kind}" if _NAME.fullmatch(kind) else ""
        raise Invalid(f"no kind of event that we know{named}")
    return _letter(raw, document, KINDS[kind])


def _letter(raw: RawEvent, said: dict[str, Any], kind: str) -> list[Event] | Ignored:
    ours = [_own(said, name) for name in (letter_ids.MESSAGE_ARG, letter_ids.HANDOVER_ARG)]
    if 0 in ours:
        return Ignored("ids that are not ours")
    if kind == "bounce" and clean(said.get("type")).lower() != "bounce":
        kind = "blocked"
    reason = (clean(said.get("reason")) or clean(said.get("response")))[:LONGEST_REASON]
    dropped = DROPPED_FOR_ADDRESS.get(reason.lower(), "") if kind == "dropped" else ""
    told = LetterReported(
        cause=raw.id,
        kind=kind,
        at=_moment(said, raw.received_at),
        email=_address(clean(said.get("email"))),
        message_id=ours[0],
        handover_id=ours[1],
        provider_id=clean(said.get("sg_message_id")).partition(".")[0][:LONGEST_ID],
        url=_url(clean(said.get("url"))) if kind == "click" else "",
        reason=_ADDRESS.sub("…", reason),
        suppresses=dropped or SUPPRESSING.get(kind, ""),
        code=letter_ids.code(clean(said.get(letter_ids.CODE_ARG))),
        machine=kind == "open" and str(said.get("sg_machine_open")).lower() == "true",
    )
    return [told]


def _own(said: dict[str, Any], name: str) -> int | None:
    """One of our ids: None when it was lost, 0 when it cannot be one."""
    written = clean(said.get(name)).lower()
    return (letter_ids.decode(written) or 0) if written else None


def _address(raw: str) -> str | None:
    """The spelling under which we know it. It comes as we wrote it: reading it as strictly as a form's costs too much."""
    plain = raw.lower()[:LONGEST_ADDRESS]
    if plain.isascii() and "xn--" not in plain:
        return plain or None
    return email_address(plain) or plain


def _moment(said: dict[str, Any], received_at: datetime) -> datetime:
    """When it happened; when it came, if it does not say so in a way that can be true."""
    told = number(said.get("timestamp"))
    seconds = told // 1000 if told >= MILLISECONDS else told
    latest = received_at + AHEAD
    if not EARLIEST.timestamp() <= seconds <= latest.timestamp():
        return received_at
    return datetime.fromtimestamp(seconds, UTC)


def _url(raw: str) -> str:
    """A link's address; nothing for what is no web address."""
    if not raw.lower().startswith(("https://", "http://")):
        return ""
    return raw.encode()[:LONGEST_URL].decode("utf-8", "ignore")


def _status(said: dict[str, Any]) -> str:
    told = clean(said.get("type"))[:LONGEST_STATUS]
    return "suspended" if _SUSPENDED.search(told.lower()) else told
