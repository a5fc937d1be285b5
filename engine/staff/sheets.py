"""Paper sheets, typed in: each good row becomes a raw event, once, however often the same page is sent."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine import bell, inbox
from engine.errors import NotFound
from engine.sources.join import SOURCE
from engine.sources.words import email_address, zero_put_back, zip_code
from engine.staff import audit
from engine.staff.accounts import Account

ROWS = 10
LONGEST = 100
RECENT = timedelta(days=120)
WORDING = (
    "I want letters from {organisation} and its chapter near me: news, gatherings, actions and requests for gifts."
    " I can stop them at any time."
)

_PLACES = text("""
SELECT 'g:' || g.code AS code, g.name, h.name AS host, g.starts_at FROM gathering g JOIN chapter h ON h.id = g.chapter_id
WHERE (:everywhere OR g.chapter_id = ANY(CAST(:reach AS bigint[]))) AND g.starts_at <= :now AND g.ends_at > :since
ORDER BY g.starts_at DESC LIMIT 50
""")
_CHAPTERS = text("""
SELECT 'c:' || h.slug AS code, h.name FROM chapter h
WHERE :everywhere OR h.id = ANY(CAST(:reach AS bigint[])) ORDER BY h.parent_id IS NOT NULL, h.name
""")
_GATHERING = text("""
SELECT h.id AS chapter_id, h.slug, g.code FROM gathering g JOIN chapter h ON h.id = g.chapter_id
WHERE g.code = :code AND (:everywhere OR g.chapter_id = ANY(CAST(:reach AS bigint[])))
""")
_CHAPTER = text("""
SELECT h.id AS chapter_id, h.slug, '' AS code FROM chapter h
WHERE h.slug = :code AND (:everywhere OR h.id = ANY(CAST(:reach AS bigint[])))
""")
_ORGANISATION = text("SELECT name FROM chapter WHERE parent_id IS NULL LIMIT 1")


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a sheet, as it was typed."""

    first_name: str = ""
    last_name: str = ""
    email: str = ""
    zip: str = ""
    phone: str = ""

    @property
    def empty(self) -> bool:
        """Whether nothing was typed into it."""
        return not any(asdict(self).values())

    @property
    def called(self) -> str:
        """Her name, else her address."""
        return f"{self.first_name} {self.last_name}".strip() or self.email

    @property
    def zip_read(self) -> str:
        """Her ZIP, when a lost zero was put back; else ""."""
        found = zip_code(self.zip, "")
        return found if found and zero_put_back(self.zip, found) else ""

    def errors(self) -> dict[str, str]:
        """What is wrong with it, by field, in words; pure."""
        found: dict[str, str] = {}
        if not self.email:
            found["email"] = "An address is needed"
        elif email_address(self.email) is None:
            found["email"] = "Not an address: is a letter missing?"
        if self.zip and zip_code(self.zip, "") is None:
            found["zip"] = "Five digits"
        return found | {name: "Too long" for name, said in asdict(self).items() if len(said) > LONGEST}


@dataclass(frozen=True, slots=True)
class Sheet:
    """Where it was signed, when, and on which page it was typed in (`page`: random, the same when it is sent again)."""

    chapter_id: int
    slug: str
    gathering: str
    signed_on: date
    page: str


def gatherings(session: Session, who: Account, now: datetime) -> Sequence[Row[tuple[object, ...]]]:
    """The gatherings a sheet may be of, the newest first: rows of (code, name, host, starts_at)."""
    return session.execute(_PLACES, who.reach.values() | {"now": now, "since": now - RECENT}).all()


def chapters(session: Session, who: Account) -> Sequence[Row[tuple[object, ...]]]:
    """The chapters a sheet may be of: rows of (code, name)."""
    return session.execute(_CHAPTERS, who.reach.values()).all()


def place(session: Session, who: Account, told: str) -> Row[Any]:
    """Where a sheet was signed, by the code of one of these: (chapter_id, slug, code). Raises NotFound out of reach."""
    kind, _, code = told.partition(":")
    statement = {"g": _GATHERING, "c": _CHAPTER}.get(kind)
    values = who.reach.values() | {"code": code}
    found = session.execute(statement, values).one_or_none() if statement is not None else None
    if found is None:
        raise NotFound("no such place")
    return found


def wording(session: Session) -> str:
    """The words that stand above the signatures of a sheet."""
    return WORDING.format(organisation=session.scalar(_ORGANISATION) or "the organisation")


def take(session: Session, who: Account, sheet: Sheet, lines: Sequence[Line], now: datetime, *, confirm: bool) -> int:
    """Store these rows, which have no errors, as raw events. Returns how many are new.

    A row's key is that of its page and its words: the same page sent twice stores each row once.
    """
    said = {"form": f"sheet/{sheet.slug}", "at": _signed(sheet.signed_on, now).isoformat(), "confirm": confirm}
    said |= {"gathering": sheet.gathering, "wording": wording(session)}
    arrivals = {_key(sheet, line): orjson.dumps(said | _person(line)) for line in lines}
    new = inbox.store(session, SOURCE, bell.INTAKE, [(key, "", body) for key, body in arrivals.items()])
    if new:  # else the same page was sent before
        detail = {"rows": len(arrivals), "new": new, "gathering": sheet.gathering, "chapter_id": sheet.chapter_id}
        audit.write(session, who.id, "sheet typed in", "chapter", sheet.chapter_id, detail, now)
    return new


def _person(line: Line) -> dict[str, str]:
    return asdict(line) | {"email": email_address(line.email) or "", "zip": zip_code(line.zip, "") or ""}


def _key(sheet: Sheet, line: Line) -> str:
    words = [sheet.page, sheet.slug, sheet.gathering, *_person(line).values()]
    return "sheet:" + hashlib.sha256("\n".join(words).encode()).hexdigest()


def _signed(day: date, now: datetime) -> datetime:
    """When it counts from: the beginning of the day on the sheet, so that whatever she said since then outweighs it."""
    return min(now, datetime(day.year, day.month, day.day, tzinfo=UTC))
