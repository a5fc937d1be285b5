"""A join form as a browser fills it in: opened, its hidden fields read, posted; what became of it."""

import html
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from urllib.parse import urlencode

import orjson
from sqlalchemy import text

from engine.bootstrap import Deps
from engine.db import transaction
from tests.asgi import Answer, Client
from tests.fakes import FakeClock
from webhooks.app import build
from webhooks.subscriber.offers import Offers
from webhooks.writer import Writer

TYPE = ("content-type", "application/x-www-form-urlencoded")
PAGES = ("accept", "text/html,application/xhtml+xml;q=0.9")
ROSA = {"email": "rosa@example.org", "first_name": "Rosa", "last_name": "Marsh", "zip": "01604"}
NOWHERE = "01301"  # Greenfield: no chapter of the invented organisation is near it


def opened(deps: Deps, writer: Writer | None = None, keep_seconds: float = 0) -> Client:
    """The application, whose forms show each change at once."""
    app = build(deps, writer=writer)
    app.state.offers = Offers(deps, keep_seconds)
    return Client(app)


networks = (f"10.{n // 256}.{n % 256}.7" for n in count())


@dataclass
class SlidingLimiter:
    """Counts what was within its span by the house's clock, as Redis does by its own."""

    clock: FakeClock
    hits: dict[str, list[datetime]] = field(default_factory=lambda: defaultdict(list))

    def hit(self, key: str, most: int, span: timedelta) -> bool:
        recent = self.hits[key] = [at for at in self.hits[key] if at > self.clock.now - span]
        if len(recent) >= most:
            return False
        recent.append(self.clock.now)
        return True


@dataclass
class Visitor:
    """Somebody with a browser, in a network of her own."""

    client: Client
    path: str = "/join"
    source: str = field(default_factory=lambda: next(networks))
    stamp: str = ""

    def open(self, after: tuple[FakeClock, float] | None = None) -> Answer:
        """Load the form, and take so many seconds over it."""
        self.client.source = self.source
        shown = self.client.send("GET", self.path, [PAGES])
        self.stamp = stamp_in(shown)
        if after is not None:
            after[0].skip(timedelta(seconds=after[1]))
        return shown

    def press(self, **typed: Any) -> Answer:
        """Send the form as it stands, and take over the stamp of the one that is answered, if one is."""
        self.client.source = self.source
        answer = post(self.client, self.path, {"stamp": self.stamp, "website": ""} | ROSA | typed)
        self.stamp = stamp_in(answer) or self.stamp
        return answer


def post(client: Client, path: str, fields: Mapping[str, Any] | bytes, *headers: tuple[str, str]) -> Answer:
    body = fields if isinstance(fields, bytes) else urlencode(fields, doseq=True).encode()
    return client.send("POST", path, [TYPE, PAGES, *headers], body)


def stamp_in(answer: Answer) -> str:
    """The stamp of the form on this page, "" if it shows none."""
    found = re.search(r'id="join".*?name="stamp" value="([^"]+)"', answer.body.decode(), re.DOTALL)
    return found[1] if found else ""


def said(answer: Answer) -> str:
    """The words of a page, as they are read."""
    main = re.search(r"<main.*</main>", answer.body.decode(), re.DOTALL)
    assert main is not None, answer.body.decode()
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", main[0])).split())


def stored(deps: Deps) -> list[dict[str, Any]]:
    """Every sign-up that the forms have stored, oldest first."""
    with transaction(deps.sessions) as session:
        found = (
            session.execute(text("SELECT body FROM inbound_event WHERE source = 'join' ORDER BY id")).scalars().all()
        )
    return [orjson.loads(body) for body in found]


def execute(deps: Deps, statement: str, **values: Any) -> None:
    with transaction(deps.sessions) as session:
        session.execute(text(statement), values)
