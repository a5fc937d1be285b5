"""A join form as a browser fills it in: opened, its hidden fields read, posted; what became of it."""

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import orjson
from sqlalchemy import text

from engine.bootstrap import Deps
from engine.db import transaction
from tests.asgi import Answer, Client
from webhooks.app import build
from webhooks.subscriber.offers import Offers

TYPE = ("content-type", "application/x-www-form-urlencoded")
PAGES = ("accept", "text/html,application/xhtml+xml;q=0.9")
ROSA = {"email": "rosa@example.org", "first_name": "Rosa", "last_name": "Marsh", "zip": "01604"}
NOWHERE = "01301"  # Greenfield: no chapter of the invented organisation is near it


def opened(deps: Deps) -> Client:
    """The application, whose forms show each change at once."""
    app = build(deps)
    app.state.offers = Offers(deps, keep_seconds=0)
    return Client(app)


@dataclass
class Visitor:
    """Somebody with a browser."""

    client: Client
    path: str = "/join"
    stamp: str = field(default="", init=False)

    def open(self) -> Answer:
        """Load the form."""
        shown = self.client.send("GET", self.path, [PAGES])
        self.stamp = stamp_in(shown)
        return shown

    def press(self, **typed: Any) -> Answer:
        """Send the form as it stands, and take over the stamp of the one that is answered, if one is."""
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
