"""Interests and ways to help: a catalogue is what is offered; what it lacks is retired; what people said is kept once."""

from typing import Any

import pytest
import yaml
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.errors import Invalid
from engine.people import interests
from tests.make import NOON

TOLD = """
agendas:
  - code: homes
    name: A home for everyone
    names: {es: Un hogar para cada quien}
    interests:
      - {code: rent, name: Fair rents, names: {es: Alquileres justos}, coalition: homes-for-all}
      - {code: shelter, name: Shelter}
  - code: work
    name: Work that pays
    interests: [{code: unions, name: Unions}]
coalitions:
  - {code: homes-for-all, name: Homes for All, purpose: Tenants together, link: "https://example.org/homes"}
ways_to_help:
  - {code: doors, name: Knock on doors, names: {es: Tocar puertas}}
  - {code: calls, name: Make calls}
"""


def told(**changed: Any) -> Any:
    return yaml.safe_load(TOLD) | changed


def test_what_a_catalogue_tells_is_offered_in_its_order_by_agenda_with_coalition(session: Session):
    for _ in range(2):
        interests.save(session, told())
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
    interests.save(session, told())
    found = interests.offered(session)
    homes, rent, shelter = found.agendas[0], *found.agendas[0].interests
    assert [one.called("es") for one in (homes, rent, shelter)] == [
        "Un hogar para cada quien", "Alquileres justos", "Shelter",
    ]  # fmt: skip
    assert [one.called("en") for one in (homes, rent)] == ["A home for everyone", "Fair rents"]


def test_what_a_new_catalogue_lacks_is_retired_kept_by_who_said_it_and_can_come_back(session: Session):
    interests.save(session, told())
    rosa = session.scalar(
        text("INSERT INTO contact (email, details_at) VALUES ('rosa@example.org', 'epoch') RETURNING id")
    )
    said = [{"contact_id": rosa, "code": code, "at": NOON, "source": "join"} for code in ("rent", "rent", "nobody's")]
    for _ in range(2):
        interests.care(session, said)
    interests.save(session, told(agendas=[], ways_to_help=[]))
    assert interests.offered(session) == interests.Offered()
    assert session.execute(text("SELECT count(*) FROM contact_interest")).scalar_one() == 1
    interests.save(session, told())
    assert "rent" in interests.offered(session).interest_codes


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [({"agendas": [{"code": "Homes!", "name": "x"}]}, "agendas.0.code"), ({"agenda": []}, "agenda"),
     ({"agendas": [{"code": "a", "name": " "}]}, "agendas.0.name"),
     ({"ways_to_help": [{"code": "a", "name": "x"}] * 2}, "there twice: a"),
     ({"coalitions": []}, "no such coalition: homes-for-all"),
     ({"coalitions": [{"code": "homes-for-all", "name": "x", "link": "javascript:alert(1)"}]}, "coalitions.0.link")],
)  # fmt: skip
def test_a_catalogue_that_is_wrong_is_refused_with_the_place(session: Session, changed: Any, wrong: str):
    before = interests.offered(session)
    with pytest.raises(Invalid, match=wrong):
        interests.save(session, told(**changed))
    assert interests.offered(session) == before


@pytest.mark.parametrize("catalogue", [None, [], "x", 7])
def test_what_is_no_catalogue_at_all_is_refused(session: Session, catalogue: Any):
    with pytest.raises(Invalid, match="not a catalogue of interests"):
        interests.save(session, catalogue)
