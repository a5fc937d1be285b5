"""Interests and ways to help: what people can say they care about and offer to do, and what some of them said.

An interest belongs to an agenda (a group on a form) and may be carried by a coalition. Codes are opaque; names are for
people, in English with other languages beside it. What is retired is offered no more, and never deleted. They come from
catalogues: `engine/people/catalogues.py`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.db import rows


@dataclass(frozen=True, slots=True)
class Choice:
    """One box to tick: its code, its name in English, and its names in other languages."""

    code: str
    name: str
    names: Mapping[str, str]

    def called(self, language: str) -> str:
        """Its name in this language, else in English."""
        return self.names.get(language) or self.name


@dataclass(frozen=True, slots=True)
class Cause(Choice):
    """An interest; `coalition` (name, purpose, link) is who carries it, "" when nobody does."""

    coalition: str = ""
    purpose: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class Agenda(Choice):
    """A group of interests, as it stands on a form."""

    interests: tuple[Cause, ...] = ()


@dataclass(frozen=True, slots=True)
class Offered:
    """All that can be ticked: interests by agenda, and ways to help, in the order of the catalogue."""

    agendas: tuple[Agenda, ...] = ()
    ways_to_help: tuple[Choice, ...] = ()

    @property
    def interest_codes(self) -> frozenset[str]:
        """The codes of every interest."""
        return frozenset(cause.code for agenda in self.agendas for cause in agenda.interests)

    @property
    def way_codes(self) -> frozenset[str]:
        """The codes of every way to help."""
        return frozenset(way.code for way in self.ways_to_help)


_INTERESTS = text("""
SELECT a.code AS agenda, a.name AS agenda_name, a.names AS agenda_names, i.code, i.name, i.names,
    coalesce(k.name, '') AS coalition, coalesce(k.purpose, '') AS purpose, coalesce(k.link, '') AS link
FROM agenda a JOIN interest i ON i.agenda_id = a.id LEFT JOIN coalition k ON k.id = i.coalition_id
WHERE i.retired_at IS NULL ORDER BY a.position, a.id, i.position, i.id
""")
_WAYS = text("SELECT code, name, names FROM way_to_help WHERE retired_at IS NULL ORDER BY position, id")

# A code that nobody knows is passed by: a form shows what is offered, and what it showed may be gone by now.
_CARE = text("""
INSERT INTO contact_interest (contact_id, interest_id, at, source)
SELECT DISTINCT ON (v.contact_id, i.id) v.contact_id, i.id, v.at, v.source
FROM json_to_recordset(CAST(:rows AS json)) AS v(contact_id bigint, code text, at timestamptz, source text)
JOIN interest i ON i.code = v.code
ORDER BY v.contact_id, i.id, v.at
ON CONFLICT (contact_id, interest_id) DO NOTHING
""")


def offered(session: Session) -> Offered:
    """What a form may show now: two statements."""
    groups: dict[str, tuple[Any, list[Cause]]] = {}
    for row in session.execute(_INTERESTS):
        cause = Cause(row.code, row.name, row.names, row.coalition, row.purpose, row.link)
        groups.setdefault(row.agenda, (row, []))[1].append(cause)
    agendas = (Agenda(code, row.agenda_name, row.agenda_names, tuple(causes)) for code, (row, causes) in groups.items())
    ways = (Choice(row.code, row.name, row.names) for row in session.execute(_WAYS))
    return Offered(tuple(agendas), tuple(ways))


def care(session: Session, said: Collection[Mapping[str, object]]) -> None:
    """Keep that people care about something; what is kept already stays. Each: contact_id, code, at, source."""
    if said:
        session.execute(_CARE, {"rows": rows(said)})
