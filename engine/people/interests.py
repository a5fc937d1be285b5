"""Interests and ways to help: what people can say they care about and offer to do, and what some of them said.

An interest belongs to an agenda (a group on a form) and may be carried by a coalition. Codes are opaque; names are for
people, in English with other languages beside it. What is no longer in a catalogue is retired, never deleted.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.errors import Invalid

_Code = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,60}$")]
_Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class _Told(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Named(_Told):
    code: _Code
    name: _Name
    names: dict[str, _Name] = {}


class _Interest(_Named):
    coalition: _Code | None = None


class _Agenda(_Named):
    interests: list[_Interest] = []


class _Coalition(_Told):
    code: _Code
    name: _Name
    purpose: str = ""
    link: Annotated[str, StringConstraints(pattern=r"^(https://\S+)?$")] = ""


class _Catalogue(_Told):
    agendas: list[_Agenda] = []
    coalitions: list[_Coalition] = []
    ways_to_help: list[_Named] = []


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

_SAVE_AGENDAS = text("""
INSERT INTO agenda (code, name, names, position)
SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS v(code text, name text, names jsonb, position bigint)
ON CONFLICT (code) DO UPDATE SET name = excluded.name, names = excluded.names, position = excluded.position
""")
_SAVE_COALITIONS = text("""
INSERT INTO coalition (code, name, purpose, link)
SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS v(code text, name text, purpose text, link text)
ON CONFLICT (code) DO UPDATE SET name = excluded.name, purpose = excluded.purpose, link = excluded.link
""")
_SAVE_INTERESTS = text("""
INSERT INTO interest (code, agenda_id, coalition_id, name, names, position)
SELECT v.code, a.id, k.id, v.name, v.names, v.position
FROM json_to_recordset(CAST(:rows AS json)) AS v(
    code text, agenda text, coalition text, name text, names jsonb, position bigint)
JOIN agenda a ON a.code = v.agenda LEFT JOIN coalition k ON k.code = v.coalition
ON CONFLICT (code) DO UPDATE SET agenda_id = excluded.agenda_id, coalition_id = excluded.coalition_id,
    name = excluded.name, names = excluded.names, position = excluded.position, retired_at = NULL
""")
_SAVE_WAYS = text("""
INSERT INTO way_to_help (code, name, names, position)
SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS v(code text, name text, names jsonb, position bigint)
ON CONFLICT (code) DO UPDATE
    SET name = excluded.name, names = excluded.names, position = excluded.position, retired_at = NULL
""")
_RETIRE_INTERESTS = text("UPDATE interest SET retired_at = now() WHERE retired_at IS NULL AND code <> ALL(:codes)")
_RETIRE_WAYS = text("UPDATE way_to_help SET retired_at = now() WHERE retired_at IS NULL AND code <> ALL(:codes)")

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


def save(session: Session, catalogue: object) -> None:
    """Make what is offered exactly this catalogue: what it lacks is retired, what comes back is offered again.

    The catalogue as YAML tells it, each list in the order in which it is shown:

        agendas:
          - code: homes
            name: A home for everyone
            names: {es: Un hogar para cada quien}
            interests:
              - {code: rent, name: Fair rents, names: {es: Alquileres justos}, coalition: homes-for-all}
        coalitions:
          - {code: homes-for-all, name: Homes for All, purpose: why it is there, link: "https://example.org/homes"}
        ways_to_help:
          - {code: doors, name: Knock on doors, names: {es: Tocar puertas}}

    `names`, `coalition`, `purpose` and `link` may be left out. Raises Invalid, naming what is wrong.
    """
    told = _read(catalogue)
    interests = [(agenda, one) for agenda in told.agendas for one in agenda.interests]
    session.execute(_SAVE_COALITIONS, {"rows": rows(one.model_dump() for one in told.coalitions)})
    session.execute(_SAVE_AGENDAS, {"rows": rows(_in_order(told.agendas))})
    records = (
        {**record, "agenda": agenda.code, "coalition": one.coalition}
        for record, (agenda, one) in zip(_in_order([one for _, one in interests]), interests, strict=True)
    )
    session.execute(_SAVE_INTERESTS, {"rows": rows(records)})
    session.execute(_SAVE_WAYS, {"rows": rows(_in_order(told.ways_to_help))})
    session.execute(_RETIRE_INTERESTS, {"codes": [one.code for _, one in interests]})
    session.execute(_RETIRE_WAYS, {"codes": [way.code for way in told.ways_to_help]})


def _read(catalogue: object) -> _Catalogue:
    try:
        told = _Catalogue.model_validate(catalogue)
    except ValidationError as error:
        places = sorted({".".join(map(str, problem["loc"])) or "the whole" for problem in error.errors()})
        raise Invalid("not a catalogue of interests: " + ", ".join(places)) from None
    interests = [one for agenda in told.agendas for one in agenda.interests]
    for named in (told.agendas, interests, told.coalitions, told.ways_to_help):
        codes = [one.code for one in named]
        if twice := sorted({code for code in codes if codes.count(code) > 1}):
            raise Invalid("not a catalogue of interests: there twice: " + ", ".join(twice))
    strangers = {one.coalition for one in interests if one.coalition} - {one.code for one in told.coalitions}
    if strangers:
        raise Invalid("not a catalogue of interests: no such coalition: " + ", ".join(sorted(strangers)))
    return told


def _in_order(named: Sequence[_Named]) -> list[dict[str, object]]:
    return [
        {"code": one.code, "name": one.name, "names": one.names, "position": place} for place, one in enumerate(named)
    ]
