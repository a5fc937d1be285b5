"""Programs of staff's: a token each, and requests to `/api/v1` as they send them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from engine.bootstrap import Deps
from engine.staff import accounts, api_tokens
from engine.staff.api_tokens import SCOPES
from tests.asgi import Answer, Client

JSON = ("content-type", "application/json")
_numbers = count(1)


@dataclass
class Program:
    """One token at one door."""

    door: Client
    token: str
    number: int = 0
    staff_id: int = 0

    def get(self, path: str, *headers: tuple[str, str]) -> Answer:
        """Read something."""
        return self.door.send("GET", f"/api/v1{path}", self._headers(headers))

    def send(
        self, method: str, path: str, said: Any = None, *headers: tuple[str, str], key: str | None = None
    ) -> Answer:
        """A body of JSON (bytes as they are; None: without one), and a key of its own unless it is told one; '' none."""
        return self.door.together(self.asked(method, path, said, *headers, key=key))[0]

    def asked(self, method: str, path: str, said: Any = None, *headers: tuple[str, str], key: str | None = None) -> Any:
        """The same, to be sent together with others."""
        key = f"a-key-{next(_numbers)}" if key is None else key
        keyed = [("idempotency-key", key)] if key and method == "POST" else []
        body = said if isinstance(said, bytes) else b"" if said is None else json.dumps(said).encode()
        kind = [JSON] if body and not any(name == "content-type" for name, _ in headers) else []
        return method, f"/api/v1{path}", self._headers((*headers, *keyed, *kind)), body

    def post(self, path: str, said: Any = None, *headers: tuple[str, str], key: str | None = None) -> Answer:
        """Create, ask or do something."""
        return self.send("POST", path, said, *headers, key=key)

    def put(self, path: str, said: Any, *headers: tuple[str, str]) -> Answer:
        """Change something."""
        return self.send("PUT", path, said, *headers)

    def _headers(self, headers: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        return [("authorization", f"Bearer {self.token}")] * bool(self.token) + list(headers)


def program(
    house: Deps, door: Client, *scopes: str, chapter: str = "", role: str = "admin", of: str = "", days: int = 90
) -> Program:
    """A program with these scopes (none named: all), of somebody new on the staff, or of this one, within this chapter."""
    with house.work() as (session, now):
        email = of or f"program.{next(_numbers)}@staff.example.org"
        staff_id = 0 if of else accounts.add(session, email, role, now, chapter=chapter)
        number, token = api_tokens.create(
            session, "a program", email, scopes or list(SCOPES), now, chapter=chapter, days=days
        )
    return Program(door, token, number, staff_id)


def said(answer: Answer) -> Any:
    """The JSON of an answer."""
    return json.loads(answer.body)
