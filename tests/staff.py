"""Staff of the invented organisation, and a browser each: it keeps cookies and sends forms as its pages had them."""

import html
import re
from dataclasses import dataclass, field
from urllib.parse import urlencode

from sqlalchemy import text

from engine.bootstrap import Deps
from engine.db import transaction
from engine.events import Person
from engine.people import contacts
from engine.staff import accounts
from tests.asgi import Answer, Client

FORM = ("content-type", "application/x-www-form-urlencoded")
SAME_ORIGIN = ("sec-fetch-site", "same-origin")
_HIDDEN = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)">')


@dataclass
class Desk:
    """One browser at one door."""

    door: Client
    cookies: dict[str, str] = field(default_factory=dict)
    page: str = ""
    host: str = ""
    given: list[str] = field(default_factory=list)  # the Set-Cookie headers it ever got

    def get(self, path: str) -> Answer:
        """Open a page."""
        return self._keep(self.door.send("GET", path, self._headers()))

    def post(self, path: str, *headers: tuple[str, str], **fields: str) -> Answer:
        """Send the form of the page that is open, with these fields."""
        told = dict(_HIDDEN.findall(self.page)) | fields
        sent = urlencode({name: html.unescape(value) for name, value in told.items()}).encode()
        return self._keep(self.door.send("POST", path, [*self._headers(), FORM, *(headers or (SAME_ORIGIN,))], sent))

    def sign_in(self, house: Deps, email: str) -> Answer:
        """Ask for a link, take it from the letter's facts, and press the button."""
        self.get("/staff/sign-in")
        self.post("/staff/sign-in", email=email)
        path = newest_link(house)
        self.get(path)
        answer = self.post(path)
        self.get("/staff")
        return answer

    def _headers(self) -> list[tuple[str, str]]:
        said = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return [("cookie", said)] * bool(said) + [("host", self.host)] * bool(self.host)

    def _keep(self, answer: Answer) -> Answer:
        self.given += answer.cookies
        for cookie in answer.cookies:
            name, _, value = cookie.partition(";")[0].partition("=")
            if "Max-Age=0" in cookie:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        if answer.headers.get("content-type", "").startswith("text/html"):
            self.page = answer.body.decode()
        return answer


def newest_link(house: Deps) -> str:
    """The path of the newest link that was asked for, as its letter says it."""
    with transaction(house.sessions) as session:
        number = session.scalar(text("SELECT max(id) FROM sign_in"))
    return f"/staff/sign-in/{house.signer.sign('sign-in', number)}"


def hire(house: Deps, email: str, role: str, chapter: str = "", *, may_export: bool = False) -> str:
    """Take someone on; returns the address."""
    with house.work() as (session, now):
        accounts.add(session, email, role, now, chapter=chapter, may_export=may_export)
    return email


def known(house: Deps, email: str, zip_code: str, first_name: str = "Rosa", last_name: str = "Alvarez") -> int:
    """A contact who lives there; returns her id."""
    with house.work() as (session, now):
        person = Person(email=email, first_name=first_name, last_name=last_name, zip=zip_code, country="United States")
        contacts.admit(session, [(person, now)], now)
        return session.execute(text("SELECT id FROM contact WHERE email = :email"), {"email": email}).scalar_one()
