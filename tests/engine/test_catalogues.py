"""Interests and ways to help: a catalogue is brought in by code, told with its faults, and what people said is kept once."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine import demo_organisation, documents
from engine.errors import Invalid
from engine.people import catalogue_files, catalogues, interests
from engine.people.catalogues import Outcome
from tests.make import NOON

TOLD = """
agendas:
  - code: homes
    name: A home for everyone
    es: Un hogar para cada quien
    interests:
      - {code: rent, name: Fair rents, es: Alquileres justos, coalition: homes-for-all}
      - {code: shelter, name: Shelter}
  - code: work
    name: Work that pays
    interests: [{code: unions, name: Unions}]
coalitions:
  - {code: homes-for-all, name: Homes for All, purpose: Tenants together, link: "https://example.org/homes"}
ways_to_help:
  - {code: doors, name: Knock on doors, es: Tocar puertas}
  - {code: calls, name: Make calls}
"""


def bring(session: Session, written: str = TOLD, **how: bool) -> Outcome:
    told = catalogue_files.read_text(written)
    assert told.catalogue is not None, told.faults
    return catalogues.bring_in(session, told.catalogue, **how)


def alone(session: Session, written: str = TOLD) -> Outcome:
    """This catalogue and nothing else is offered."""
    return bring(session, written, retire=True)


def faults(written: str) -> list[str]:
    told = catalogue_files.read_text(written)
    assert (told.catalogue is None) == bool(told.faults)
    return [str(fault) for fault in told.faults]


def changed(**parts: Any) -> str:
    return yaml.safe_dump(yaml.safe_load(TOLD) | parts, allow_unicode=True, sort_keys=False)


def test_what_a_catalogue_tells_is_offered_in_its_order_by_agenda_with_coalition(session: Session):
    for _ in range(2):
        alone(session)
    found = interests.offered(session)
    assert [(agenda.code, [cause.code for cause in agenda.interests]) for agenda in found.agendas] == [
        ("homes", ["rent", "shelter"]), ("work", ["unions"]),
    ]  # fmt: skip
    rent, shelter = found.agendas[0].interests
    assert (rent.coalition, rent.purpose, rent.link) == (
        "Homes for All", "Tenants together", "https://example.org/homes"
    )  # fmt: skip
    assert shelter.coalition == ""
    assert [way.code for way in found.ways_to_help] == ["doors", "calls"]
    assert found.interest_codes == {"rent", "shelter", "unions"}
    assert found.way_codes == {"doors", "calls"}


def test_a_name_is_told_in_the_language_asked_for_else_in_english(session: Session):
    alone(session)
    found = interests.offered(session)
    homes, rent, shelter = found.agendas[0], *found.agendas[0].interests
    assert [one.called("es") for one in (homes, rent, shelter)] == [
        "Un hogar para cada quien", "Alquileres justos", "Shelter",
    ]  # fmt: skip
    assert [one.called("en") for one in (homes, rent)] == ["A home for everyone", "Fair rents"]


def test_the_same_catalogue_changes_nothing_and_what_is_another_is_told_by_its_code(session: Session):
    first = bring(session)
    assert (first.made["interests"], first.made["ways_to_help"]) == (["rent", "shelter", "unions"], ["doors", "calls"])
    again = bring(session)
    assert not again.anything
    moved = bring(
        session, TOLD.replace("Fair rents", "Fairer rents").replace("es: Tocar puertas", "es: Puerta a puerta")
    )
    assert {part: codes for part, codes in moved.changed.items() if codes} == {
        "interests": ["rent"],
        "ways_to_help": ["doors"],
    }
    assert session.scalar(text("SELECT name FROM interest WHERE code = 'rent'")) == "Fairer rents"


def test_what_a_catalogue_does_not_name_is_left_unless_it_shall_be_retired_and_can_come_back(session: Session):
    alone(session)
    rosa = session.scalar(
        text("INSERT INTO contact (email, details_at) VALUES ('rosa@example.org', 'epoch') RETURNING id")
    )
    said = [{"contact_id": rosa, "code": code, "at": NOON, "source": "join"} for code in ("rent", "rent", "nobody's")]
    for _ in range(2):
        interests.care(session, said)
    before = interests.offered(session)
    left = bring(session, changed(agendas=[], ways_to_help=[]))
    assert (left.left["interests"], left.retired, left.anything) == (["rent", "shelter", "unions"], {}, False)
    assert interests.offered(session) == before
    gone = bring(session, changed(agendas=[], ways_to_help=[]), retire=True)
    assert (gone.retired["ways_to_help"], gone.left, gone.anything) == (["doors", "calls"], {}, True)
    assert interests.offered(session) == interests.Offered()
    assert session.execute(text("SELECT count(*) FROM contact_interest")).scalar_one() == 1
    back = bring(session)
    assert back.changed["interests"] == ["rent", "shelter", "unions"]
    assert "rent" in interests.offered(session).interest_codes


def test_a_list_that_a_catalogue_does_not_have_says_nothing(session: Session):
    alone(session)
    bring(session, "ways_to_help: [{code: doors, name: Knock on doors}]", retire=True)
    found = interests.offered(session)
    assert (found.interest_codes, found.way_codes) == ({"rent", "shelter", "unions"}, {"doors"})


def test_the_invented_organisation_is_read_by_the_same_code_and_leaves_what_is_there(session: Session):
    session.execute(text("UPDATE interest SET name = 'Ours by now' WHERE code = 'i3f7'"))
    session.execute(text("DELETE FROM contact_interest"))
    session.execute(text("DELETE FROM way_to_help WHERE code = 'w3h8'"))
    demo_organisation.load(session, NOON)
    assert session.scalar(text("SELECT name FROM interest WHERE code = 'i3f7'")) == "Ours by now"
    assert session.scalar(text("SELECT names ->> 'es' FROM way_to_help WHERE code = 'w3h8'")) == "Tocar puertas"


WRONG = {
    "a code": (changed(agendas=[{"code": "Homes!", "name": "x"}]), "agendas 1, code: is no code: small letters"),
    "another list": ("agenda: []\n", "line 1: agenda: is not known here"),
    "a root": ("root: {}\nagendas: []\n", "line 1: root: is not known here"),
    "no name": ("ways_to_help:\n  - code: a\n", "line 2: ways_to_help 1, name: is missing"),
    "an empty name": ("agendas:\n  - code: a\n    name: ' '\n", "line 3: agendas 1, name: is empty"),
    "a long name": (f"agendas:\n  - code: a\n    name: {'x' * 201}\n", "line 3: agendas 1, name: is too long"),
    "a line end": ('ways_to_help: [{code: a, name: "x\\ny"}]\n', "name: holds signs that cannot be printed"),
    "another language": ("agendas:\n  - {code: a, name: x, xx: y}\n", "line 2: agendas 1, xx: is not known here"),
    "its own key": ("agendas:\n  - {code: a, name: x, names: {es: y}}\n", "agendas 1, names: is not known here"),
    "an empty translation": ("ways_to_help:\n  - code: a\n    name: x\n    es: ''\n", "line 4: ways_to_help 1, es: is empty"),
    "a number": ("ways_to_help:\n  - code: 12\n    name: x\n", "line 2: ways_to_help 1, code: must be words; put them in"),
    "a word of YAML's": ("ways_to_help:\n  - code: a\n    name: no\n", "line 3: ways_to_help 1, name: must be words"),
    "a code twice": (
        "ways_to_help:\n  - {code: a, name: x}\n  - {code: b, name: x}\n  - {code: a, name: y}\n",
        "line 4: a stands in line 2 already",
    ),
    "an interest twice in two agendas": (
        "agendas:\n" + "- {code: a, name: x, interests: [{code: i, name: x}]}\n" * 2,
        "line 3: i stands in line 2 already",
    ),
    "a code twice in one line": (
        "ways_to_help: [{code: a, name: x}, {code: a, name: y}]",
        "line 1: a stands in line 1 already",
    ),
    "a coalition that is none": (changed(coalitions=[]), "there is no coalition homes-for-all in this file"),
    "a link": (
        "coalitions:\n- code: a\n  name: x\n  link: 'javascript:alert(1)'\n",
        "line 4: coalitions 1, link: must begin with https"
    ),
    "a key twice": ("ways_to_help:\n- code: a\n  name: x\n  name: y\n", "line 4: name stands twice"),
    "no YAML": ("agendas: [\n", "cannot be read as YAML"),
    "an alias": ("agendas: &a []\nways_to_help: *a\n", "cannot be read as YAML"),
    "no list": ("agendas: homes\n", "line 1: agendas: must be a list"),
    "a list of words": ("agendas:\n- homes\n", "line 2: agendas 1: must be written as `code: …`, `name: …`"),
    "a date that there is not": ("agendas:\n- {code: a, name: 2026-02-31}\n", "cannot be read as YAML"),
    "nothing": ("", "line 1: begins with one of `coalitions:`"),
    "words": ("x", "line 1: begins with one of"),
    "nothing in it": ("{}", "line 1: begins with one of"),
}  # fmt: skip


@pytest.mark.parametrize(("written", "wrong"), WRONG.values(), ids=WRONG)
def test_a_catalogue_that_is_wrong_is_told_with_the_place(written: str, wrong: str):
    assert any(wrong in fault for fault in faults(written)), faults(written)


def test_every_fault_is_told_and_in_the_order_of_the_lines():
    written = "ways_to_help:\n- code: A\n  name: x\n- code: b\n  nome: x\nagenda: 1\n"
    assert [fault.partition(":")[0] for fault in faults(written)] == ["line 2", "line 4", "line 5", "line 6"]


def test_a_file_that_is_too_large_or_no_text_is_refused(tmp_path: Path):
    path = tmp_path / "catalogue.yaml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(Invalid, match="not UTF-8"):
        catalogue_files.read(path)
    path.write_text("#" * (documents.LARGEST + 1))
    with pytest.raises(Invalid, match="larger than 1 MB"):
        catalogue_files.read(path)
    path.write_text("[" * 100_000)
    assert [str(fault) for fault in catalogue_files.read(path).faults] == ["cannot be read as YAML"]
