"""Invented people who get letters, what they said about that, and letters that are ready for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.bootstrap import Deps
from engine.db import transaction
from engine.people import consent
from tests.fakes import FakeClock

NOW = FakeClock.now
_numbers = count(1)

_PERSON = text("""
INSERT INTO contact (email, first_name, details_at, language, zip, chapter_id, routed_by, routed_on)
SELECT :email, 'Rosa', 'epoch', :language, '01604', id, 'zip', '01604' FROM chapter WHERE slug = 'worcester' RETURNING id
""")
_LETTER = text("""
INSERT INTO message
    (contact_id, mailing_id, occasion, lane, kind, due_at, expires_at, chapter_id, facts, created_at, language)
SELECT :contact_id, m.id, 'test:' || :number, :lane, :kind, :due, :expires, (SELECT id FROM chapter WHERE slug = :chapter),
    '{"first_name": "Rosa", "amount": "$27", "given_on": "today", "receiver": "us", "order_number": "1", "rhythm": ""}',
    :due, 'en'
FROM mailing m WHERE m.slug = 'thank_you' RETURNING id
""")


@dataclass(frozen=True)
class Reader:
    """One person and the letter that is ready for her."""

    contact_id: int
    message_id: int
    email: str


def said(session: Session, contact_id: int, *words: tuple[Any, ...]) -> None:
    """Words on mail: (kind, given), with a moment and the end of a pause if need be."""
    long_ago = datetime(2026, 10, 1, 12, 0, tzinfo=NOW.tzinfo)
    same = {"contact_id": contact_id, "channel": "mail", "source": "signup", "place": "", "wording": "", "cause": None}
    consent.hear(
        session,
        [
            same
            | {
                "kind": kind,
                "given": given,
                "at": rest[0] if rest else long_ago,
                "until": rest[1] if rest[1:] else None,
            }
            for kind, given, *rest in words
        ],
    )


def person(session: Session, email: str | None = "", language: str = "en") -> tuple[int, str | None]:
    """Somebody of Worcester, with an address of her own."""
    known = f"rosa.{next(_numbers)}@example.org" if email == "" else email
    return session.execute(_PERSON, {"email": known, "language": language}).scalar_one(), known


def letter(
    session: Session, contact_id: int, kind: str = "news", *, chapter: str = "massachusetts", lane: str = "delivery",
    due: datetime = NOW, expires: datetime | None = None,
) -> int:  # fmt: skip
    """A letter that is ready for her."""
    values = {
        "contact_id": contact_id, "kind": kind, "chapter": chapter, "lane": lane, "due": due, "expires": expires,
        "number": next(_numbers),
    }  # fmt: skip
    return int(session.execute(_LETTER, values).scalar_one())


def reader(deps: Deps, words: Sequence[tuple[Any, ...]] = (("", True),), language: str = "en", **terms: Any) -> Reader:
    """Somebody who said these words, with a letter that is ready for her; committed."""
    with transaction(deps.sessions) as session:
        contact_id, email = person(session, language=language)
        said(session, contact_id, *words)
        return Reader(contact_id, letter(session, contact_id, **terms), email or "")
