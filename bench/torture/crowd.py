"""Who comes to the house besides givers: people who sign up, some of them hostile, and those who stop letters."""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from bench.torture import envelopes
from bench.torture.people import CANARY, CARD, Someone
from bench.torture.posting import Request
from bench.torture.world import SECRET_KEY
from engine.tokens import Signer
from webhooks.forms import Stamp

SIGNUP, JOIN = "signup", "join"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, what it is, and what must come of it."""

    request: Request
    kind: str
    source: str = ""
    key: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Crowd:
    """Sign-ups by a seed."""

    chance: random.Random
    signer: Signer = field(default_factory=lambda: Signer([SECRET_KEY]))

    def signs_up(self, who: Someone, **facts: Any) -> Asked:
        """By another system's webhook or, of one in four, by our own form."""
        return self._joins(who, facts) if self.chance.random() < 0.25 else self.told(who, **facts)

    def told(self, who: Someone, **facts: Any) -> Asked:
        """By another system's webhook."""
        body: dict[str, Any] = {
            "id": f"s{self.chance.getrandbits(64):016x}", "email": who.email, "first_name": who.first_name,
            "last_name": who.last_name, "zip": who.zip, "status": "subscribed", "at": datetime.now(UTC).isoformat(),
            "place": "https://example.org/join", "wording": "Yes, write to me.",
        }  # fmt: skip
        request, key = envelopes.signup(json.dumps(body).encode())
        return Asked(request, "signup", SIGNUP, key, {"email": who.email, "zip": who.zip, "id": body["id"], **facts})

    def _joins(self, who: Someone, facts: dict[str, Any]) -> Asked:
        stamp = Stamp.fresh("join", datetime.now(UTC), aged=True)
        fields = {"stamp": stamp.token(self.signer), "email": who.email, "zip": who.zip, "first_name": who.first_name,
                  "last_name": who.last_name}  # fmt: skip
        request = envelopes.form("/join", urlencode(fields).encode())
        return Asked(request, "signup", JOIN, stamp.nonce, {"email": who.email, "zip": who.zip, "id": "", **facts})

    def gives(self, who: Someone, cents: int) -> Request:
        """The form of a gift by card, filled in."""
        stamp = Stamp.fresh("give/neighbours", datetime.now(UTC), aged=True)
        fields = {
            "stamp": stamp.token(self.signer), "amount": "other", "other": f"{cents / 100:.2f}", "period": "once",
            "first_name": who.first_name, "last_name": who.last_name, "email": who.email, "street": "14 Lincoln Street",
            "city": "Worcester", "state": "MA", "zip": who.zip, "employer": "Public Library", "occupation": "Librarian",
        }  # fmt: skip
        return envelopes.form("/give/neighbours", urlencode(fields).encode())

    def hostile(self, number: int) -> Asked:
        """Somebody who means harm. What is refused must stay out; what is taken must harm nobody."""
        address = f"hostile{number}@hostile.example.org"
        bodies: Sequence[bytes] = (
            b"{" * 60_000,
            json.dumps({"email": f"{address}\r\nBcc: all@example.org", "status": "subscribed"}).encode(),
            json.dumps({"email": address, "first_name": "<script>", "last_name": CARD, "status": "subscribed"}).encode(),
            json.dumps({"email": address, "first_name": "\x00{{7*7}}", "zip": "=1+1", "status": "perhaps"}).encode(),
            b'{"email": "' + address.encode() + b'", "email": "other@example.org", "status": "subscribed"}',
            b"x" * 70_000,
            b"\xff\xfe",
        )  # fmt: skip
        body = self.chance.choice(bodies)
        if self.chance.random() < 0.3:
            request, key = envelopes.signup(body, "guessed-token-of-thirty-two-characters")
            return Asked(request, "intruder", SIGNUP, key)
        request, key = envelopes.signup(body)
        return Asked(request, "hostile", SIGNUP, key, {"too_large": len(body) > 65_536})


class Letterbox:
    """The log of accepted letters, as it grows: whose letter came last, and the link by which she can stop them."""

    def __init__(self, log: Path) -> None:
        self._log, self._place = log, 0
        self.recent: list[dict[str, Any]] = []
        self.canaries: dict[str, float] = {}  # who will be erased, and when she was written to

    def look(self) -> None:
        """Take in what came since."""
        if not self._log.exists():
            return
        with self._log.open("rb") as file:
            file.seek(self._place)
            whole, _, _ = file.read().rpartition(b"\n")
        if whole:
            self._place += len(whole) + 1
            came = [json.loads(line) for line in whole.splitlines()]
            self.canaries |= {each["to"]: each["at"] for each in came if each["to"].startswith(CANARY)}
            self.recent = [*self.recent, *came][-400:]

    def taken(self, chance: random.Random, but: set[str]) -> dict[str, Any] | None:
        """A letter of the newest whose reader has not been among these yet."""
        found = [each for each in self.recent if each["stop"] and each["to"] not in but]
        return chance.choice(found) if found else None


def stops(letter: dict[str, Any]) -> Asked:
    """Her mail program's one click."""
    path = urlsplit(letter["stop"]).path
    request = envelopes.form(path, b"List-Unsubscribe=One-Click")
    return Asked(request, "unsubscribe", facts={"email": letter["to"], "message": letter["message"]})


def told_of(letters: Sequence[dict[str, Any]], chance: random.Random, at: int) -> Iterator[dict[str, Any]]:
    """What SendGrid tells of some letters, and of some that nobody knows, besides what the stand-in does."""
    for each in letters:
        kind = chance.choice(("open", "click", "deferred", "delivered"))
        known = {"gs_message": each["message"], "gs_handover": each["handover"], "email": each["to"]}
        strange = {"gs_message": "yyyyy", "gs_handover": "yyyyy", "email": "nobody@nowhere.example.org"}
        yield (strange if chance.random() < 0.1 else known) | {
            "event": kind, "timestamp": at, "sg_message_id": f"{each['id']}.f1", "url": "https://example.org/read",
            "sg_event_id": f"{each['message']}-{kind}-{at}",
        }  # fmt: skip
