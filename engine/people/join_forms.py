"""What the join forms show: the organisation, its chapters, what may be ticked, the gatherings; the chapter near a ZIP."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

LOCAL = ("chapter", "forming")  # the kinds of chapters that meet somewhere; the root and regions do not
WEB = ("https://", "http://")

_CHAPTERS = text("SELECT id, kind, slug, name FROM chapter ORDER BY id")
_INTERESTS = text("""
SELECT a.name AS agenda, i.code, i.name, i.names, c.name AS coalition, c.purpose, c.link
FROM interest i JOIN agenda a ON a.id = i.agenda_id LEFT JOIN coalition c ON c.id = i.coalition_id
WHERE i.retired_at IS NULL ORDER BY a.position, a.id, i.position, i.id
""")
_WAYS = text("SELECT code, name, names FROM way_to_help WHERE retired_at IS NULL ORDER BY position, id")
_GATHERINGS = text("""
SELECT code, name, chapter_id, starts_at, ends_at FROM gathering WHERE ends_at > :now AND starts_at < :now + interval '1 day'
""")
_NEAR = text("""
SELECT z.city, c.name, c.kind FROM (SELECT CAST(:zip AS text) AS zip) asked
LEFT JOIN zip z ON z.zip = asked.zip
LEFT JOIN zip_route r ON r.zip = asked.zip LEFT JOIN chapter c ON c.id = r.chapter_id
""")


@dataclass(frozen=True, slots=True)
class Known:
    """A chapter as forms name it."""

    id: int
    kind: str
    slug: str
    name: str


@dataclass(frozen=True, slots=True)
class Choice:
    """Something to tick. `names`: in other languages. `coalition`: who carries it, what for, and where to read more."""

    code: str
    name: str
    names: Mapping[str, str] = field(default_factory=dict)
    coalition: str = ""
    purpose: str = ""
    link: str = ""

    def called(self, language: str) -> str:
        """Its name in this language, else in English."""
        return self.names.get(language, self.name)


@dataclass(frozen=True, slots=True)
class Hosted:
    """A gathering at which people sign up one after another."""

    name: str
    chapter_id: int
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class House:
    """All that a join form shows. `agendas`: the interests under each agenda's name. `now`: when it was so."""

    now: datetime
    chapters: Mapping[str, Known]
    agendas: Mapping[str, tuple[Choice, ...]]
    ways: tuple[Choice, ...]
    gatherings: Mapping[str, Hosted]

    @property
    def root(self) -> Known | None:
        """The organisation itself; None before there is one."""
        return next((chapter for chapter in self.chapters.values() if chapter.kind == "root"), None)

    @property
    def interests(self) -> frozenset[str]:
        """The codes of all interests that may be ticked."""
        return frozenset(choice.code for choices in self.agendas.values() for choice in choices)

    def chapter(self, id: int | None) -> Known | None:
        """The chapter of this id."""
        return next((chapter for chapter in self.chapters.values() if chapter.id == id), None)


@dataclass(frozen=True, slots=True)
class Near:
    """What is near a ZIP: its postal city ("" for a ZIP that nobody knows), and the chapter that meets there, if one does."""

    city: str
    chapter: str = ""


def house(session: Session, now: datetime) -> House:
    """What the forms show at this moment."""
    agendas: dict[str, list[Choice]] = {}
    for row in session.execute(_INTERESTS):
        link = row.link if row.link and row.link.startswith(WEB) else ""
        choice = Choice(row.code, row.name, row.names, row.coalition or "", row.purpose or "", link)
        agendas.setdefault(row.agenda, []).append(choice)
    return House(
        now=now,
        chapters={row.slug: Known(*row) for row in session.execute(_CHAPTERS)},
        agendas={name: tuple(choices) for name, choices in agendas.items()},
        ways=tuple(Choice(*row) for row in session.execute(_WAYS)),
        gatherings={row.code: Hosted(*row[1:]) for row in session.execute(_GATHERINGS, {"now": now})},
    )


def near(session: Session, zip_code: str) -> Near:
    """The chapter whose land this ZIP (five digits) is."""
    found = session.execute(_NEAR, {"zip": zip_code}).one()
    return Near(found.city or "", found.name if found.kind in LOCAL else "")
