"""Founding an organisation: all of it or nothing, once; and who works for it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.errors import Conflict, Invalid, NotFound
from engine.giving import form_shelf, forms
from engine.staff import accounts, founding
from engine.staff.founding import Organisation
from tests.books import by_hand
from tests.make import NOON

TOLD = Organisation(
    name="Marea Común, Inc.", sender_email=" Hello@Marea.example.org ", sender_name="Marea Común",
    postal_address="7 Harbor Street, Lynn, MA 01902", fund_name="Marea Común Action, Inc.",
    disclaimer="Paid for by Marea Común Action, Inc.", deductibility="Gifts are not tax-deductible.",
    actblue_entity=778899, admin_email="Ana@marea.example.org",
)  # fmt: skip


def empty(session: Session) -> Session:
    """A house without an organisation: the invented one is put away for this test."""
    by_hand(session, "TRUNCATE chapter, fund, staff RESTART IDENTITY CASCADE")
    return session


def one(session: Session, statement: str):
    (found,) = session.execute(text(statement)).all()
    return found


def test_an_organisation_is_root_fund_entity_and_first_admin(session: Session):
    root = founding.found(empty(session), TOLD, NOON)
    chapter = one(session, "SELECT * FROM chapter")
    assert (chapter.id, chapter.kind, chapter.slug, chapter.parent_id) == (root, "root", "marea-comun-inc", None)
    assert (chapter.sender_email, chapter.reply_to) == ("hello@marea.example.org",) * 2
    assert chapter.postal_address == TOLD.postal_address
    fund = one(session, "SELECT f.slug, f.name, e.entity_id FROM fund f JOIN actblue_entity e ON e.fund_id = f.id")
    assert fund == ("marea-comun-action-inc", TOLD.fund_name, 778899)
    staff = one(session, "SELECT email, role, chapter_id, ended_at FROM staff")
    assert staff == ("ana@marea.example.org", "admin", None, None)
    actions = session.scalars(text("SELECT action FROM audit ORDER BY id DESC LIMIT 2")).all()
    assert actions == ["staff added", "organisation founded"]


def test_an_organisation_without_an_actblue_number_is_founded_too(session: Session):
    founding.found(empty(session), replace(TOLD, actblue_entity=0), NOON)
    assert one(session, "SELECT count(*) FROM actblue_entity") == (0,)


def test_it_begins_with_a_form_for_cards_and_with_its_own_at_actblue(session: Session):
    founding.found(empty(session), replace(TOLD, actblue_form="marea_comun"), NOON)
    shown = forms.giving(session, NOON).forms
    assert {(name, form.definition.processor, form.fund.slug) for name, form in shown.items()} == {
        ("give", "stripe", "marea-comun-action-inc"), ("marea_comun", "actblue", "marea-comun-action-inc"),
    }  # fmt: skip
    assert all(form.definition.others["es"].words for form in shown.values())


def test_where_no_card_can_be_taken_that_form_is_a_draft_and_names_never_meet(session: Session):
    founding.found(empty(session), replace(TOLD, actblue_form="give"), NOON, cards=False)
    assert [(form.slug, form.processor, form.version) for form in form_shelf.every(session)] == [
        ("give-by-card", "stripe", 0), ("give", "actblue", 1),
    ]  # fmt: skip


def test_where_there_is_a_root_nothing_is_founded(session: Session):
    with pytest.raises(Conflict, match="already"):
        founding.found(session, TOLD, NOON)


@pytest.mark.parametrize(
    "wrong",
    [
        {"sender_email": "hello"}, {"sender_email": "a@b"}, {"admin_email": ""}, {"name": " "}, {"postal_address": ""},
        {"disclaimer": "\x00"}, {"actblue_entity": -1}, {"actblue_entity": 2**63}, {"name": "x" * 301},
        {"sender_email": "a@example.org\r\nBcc: b@example.org"}, {"actblue_form": "https://secure.actblue.com/donate/x"},
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_without_its_value_and_nothing_is_founded(session: Session, wrong):
    with pytest.raises(Invalid) as raised:
        founding.found(empty(session), replace(TOLD, **wrong), NOON)
    assert next(iter(wrong)).replace("_", " ") in str(raised.value)
    assert one(session, "SELECT count(*) FROM chapter") == (0,)


def test_names_become_parts_of_addresses():
    assert founding.slug("Común Action, Inc.") == "comun-action-inc"
    assert founding.slug("行动") == "organisation"
    assert len(founding.slug("a" * 500)) <= 60


def test_someone_is_taken_on_once_let_go_and_taken_on_again_in_another_role(session: Session):
    staff_id = accounts.add(session, " Bo@Example.org ", "organizer", NOON, chapter="worcester", name="Bo")
    with pytest.raises(Conflict):
        accounts.add(session, "bo@example.org", "admin", NOON)
    accounts.end(session, "bo@example.org", NOON)
    with pytest.raises(NotFound):
        accounts.end(session, "bo@example.org", NOON)
    again = accounts.add(session, "bo@example.org", "viewer", NOON + timedelta(days=1))
    assert again == staff_id
    row = next(row for row in accounts.everyone(session) if row.id == staff_id)
    assert (row.role, row.chapter, row.ended_at) == ("viewer", "all chapters", None)


@pytest.mark.parametrize(
    ("email", "role", "chapter", "error"),
    [
        ("nobody", "admin", "", Invalid), ("bo@example.org", "owner", "", Invalid),
        ("bo@example.org", "admin", "atlantis", NotFound),
    ],
)  # fmt: skip
def test_nobody_is_taken_on_with_what_does_not_exist(session: Session, email, role, chapter, error):
    with pytest.raises(error):
        accounts.add(session, email, role, NOON, chapter=chapter)
