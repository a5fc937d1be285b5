"""Lists of people of one's own: columns named by a mapping, what is true of a whole file, no yes that nobody said."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.bootstrap import Deps
from engine.people_import.layout import CLEANED, COMPLAINED, UNSUBSCRIBED
from tests import people_lists as make
from tests.flows.house import rows
from tests.flows.lists import contact, imported, mailable

ROSA = "rosa@example.org"


@pytest.mark.parametrize(
    ("assumed", "stop"), [(UNSUBSCRIBED, "unsubscribe"), (CLEANED, "bounce"), (COMPLAINED, "complaint")]
)
def test_what_is_true_of_a_whole_file_can_be_said(deps: Deps, tmp_path: Path, assumed: str, stop: str):
    path = make.write(tmp_path / "list.csv", make.LIST, [{"Email": ROSA, "Subscription status": "subscribed"}])
    imported(deps, path, assumed=assumed)
    stops = [tuple(row) for row in rows(deps, "SELECT email, reason FROM suppression")]
    assert (stops, mailable(deps)) == ([(ROSA, stop)], set())


def test_columns_of_ones_own_are_named_by_a_mapping(deps: Deps, tmp_path: Path):
    path = make.write(
        tmp_path / "list.csv", ("Correo", "Nombre", "Idioma", "Since", "Shoe"),
        [{"Correo": ROSA, "Nombre": "Rosa Delgado Ruiz", "Idioma": "Espa\u00f1ol", "Since": "3/4/2024", "Shoe": "38"}],
    )  # fmt: skip
    mapping = {"Correo": "email", "Nombre": "name", "Idioma": "language", "Since": "opted_in_at", "Shoe": "custom:shoe"}
    imported(deps, path, mapping=mapping, assumed="subscribed")
    her = contact(deps, ROSA)
    assert (her.first_name, her.last_name, her.language, her.custom) == ("Rosa Delgado", "Ruiz", "es", {"shoe": "38"})
    (word,) = rows(deps, "SELECT given, at, source, place FROM consent")
    assert tuple(word) == (True, datetime(2024, 3, 4, tzinfo=UTC), "import:list", "list.csv")


def test_nobody_who_is_on_a_plain_list_is_mailed_without_a_word(deps: Deps, tmp_path: Path):
    imported(deps, make.write(tmp_path / "list.csv", make.LIST, [{"Email": ROSA}]))
    assert (contact(deps, ROSA).email, mailable(deps)) == (ROSA, set())
