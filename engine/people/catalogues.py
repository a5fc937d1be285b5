"""What people can choose, brought in from a catalogue: written by code, retired only when that is wanted.

The same catalogue once more changes nothing. What it does not name any more stays as it is, unless it shall be retired: then
no form offers it, and what people said of it is kept. A list that it does not have at all says nothing.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.people.catalogue_files import Catalogue, Named

PARTS = ("coalitions", "agendas", "interests", "ways_to_help")
RETIRED = ("interests", "ways_to_help")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an import did, by part, as codes. `left`: offered here, and not named by the file; `retired`: were so."""

    made: Mapping[str, Sequence[str]]
    changed: Mapping[str, Sequence[str]]
    retired: Mapping[str, Sequence[str]]
    left: Mapping[str, Sequence[str]]

    @property
    def anything(self) -> bool:
        """Whether anything is another than before."""
        return any((*self.made.values(), *self.changed.values(), *self.retired.values()))


_THERE: Mapping[str, Any] = {
    "coalitions": text("SELECT code, name, purpose, link, true AS offered FROM coalition ORDER BY id"),
    "agendas": text("SELECT code, name, names, position, true AS offered FROM agenda ORDER BY position, id"),
    "interests": text("""
        SELECT i.code, i.name, i.names, i.position, a.code AS agenda, k.code AS coalition, i.retired_at IS NULL AS offered
        FROM interest i JOIN agenda a ON a.id = i.agenda_id LEFT JOIN coalition k ON k.id = i.coalition_id
        ORDER BY i.position, i.id"""),
    "ways_to_help": text("""
        SELECT code, name, names, position, retired_at IS NULL AS offered FROM way_to_help ORDER BY position, id"""),
}
_SAVE: Mapping[str, Any] = {
    "coalitions": text("""
        INSERT INTO coalition (code, name, purpose, link)
        SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS v(code text, name text, purpose text, link text)
        ON CONFLICT (code) DO UPDATE SET name = excluded.name, purpose = excluded.purpose, link = excluded.link"""),
    "agendas": text("""
        INSERT INTO agenda (code, name, names, position)
        SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS v(code text, name text, names jsonb, position bigint)
        ON CONFLICT (code) DO UPDATE SET name = excluded.name, names = excluded.names, position = excluded.position"""),
    "interests": text("""
        INSERT INTO interest (code, agenda_id, coalition_id, name, names, position)
        SELECT v.code, a.id, k.id, v.name, v.names, v.position
        FROM json_to_recordset(CAST(:rows AS json)) AS v(
            code text, agenda text, coalition text, name text, names jsonb, position bigint)
        JOIN agenda a ON a.code = v.agenda LEFT JOIN coalition k ON k.code = v.coalition
        ON CONFLICT (code) DO UPDATE SET agenda_id = excluded.agenda_id, coalition_id = excluded.coalition_id,
            name = excluded.name, names = excluded.names, position = excluded.position, retired_at = NULL"""),
    "ways_to_help": text("""
        INSERT INTO way_to_help (code, name, names, position)
        SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS v(code text, name text, names jsonb, position bigint)
        ON CONFLICT (code) DO UPDATE
            SET name = excluded.name, names = excluded.names, position = excluded.position, retired_at = NULL"""),
}
_RETIRE: Mapping[str, Any] = {
    "interests": text("UPDATE interest SET retired_at = now() WHERE code = ANY(:codes)"),
    "ways_to_help": text("UPDATE way_to_help SET retired_at = now() WHERE code = ANY(:codes)"),
}


def bring_in(session: Session, told: Catalogue, *, retire: bool = False, keep: bool = False) -> Outcome:
    """Offer this. `retire`: what it does not name any more is offered no more; `keep`: what is there stays as it is."""
    there = {part: {row.code: dict(row._mapping) for row in session.execute(_THERE[part])} for part in PARTS}
    said = {part: records for part, records in _records(told).items() if records is not None}
    made = {part: [code for code in _codes(said.get(part, ())) if code not in there[part]] for part in PARTS}
    changed = {part: [] if keep else list(_changed(said.get(part, ()), there[part])) for part in PARTS}
    left = {
        part: [code for code, record in there[part].items() if record["offered"] and code not in _codes(said[part])]
        for part in RETIRED
        if part in said
    }
    for part in PARTS:
        wanted = {*made[part], *changed[part]}
        if wanted:
            session.execute(_SAVE[part], {"rows": rows(each for each in said[part] if each["code"] in wanted)})
    for part, codes in left.items() if retire else ():
        session.execute(_RETIRE[part], {"codes": codes})
    nothing: Mapping[str, Sequence[str]] = {}
    return Outcome(made, changed, left if retire else nothing, nothing if retire else left)


def _records(told: Catalogue) -> dict[str, list[dict[str, Any]] | None]:
    """What is to stand in each table. Interests are numbered through all agendas."""
    interests = [(agenda.code, one) for agenda in told.agendas or () for one in agenda.interests]
    records = [
        {**record, "agenda": agenda, "coalition": one.coalition}
        for record, (agenda, one) in zip(_in_order([one for _, one in interests]), interests, strict=True)
    ]
    return {
        "coalitions": None if told.coalitions is None else [one.model_dump() for one in told.coalitions],
        "agendas": None if told.agendas is None else _in_order(told.agendas),
        "interests": None if told.agendas is None else records,
        "ways_to_help": None if told.ways_to_help is None else _in_order(told.ways_to_help),
    }


def _in_order(named: Sequence[Named]) -> list[dict[str, Any]]:
    return [
        {"code": one.code, "name": one.name, "names": one.names, "position": place}
        for place, one in enumerate(named, 1)
    ]


def _codes(records: Iterable[Mapping[str, Any]]) -> Collection[str]:
    return dict.fromkeys(record["code"] for record in records)


def _changed(records: Iterable[Mapping[str, Any]], there: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for record in records:
        before = there.get(record["code"])
        if before is not None and before != {**record, "offered": True}:
            yield record["code"]
