"""Lists of people out of the house: whom one holds, formulas disarmed, on record, and readable by our own importer."""

import csv
import io
from pathlib import Path

import pytest
from sqlalchemy import text

from engine.bootstrap import Deps
from engine.db import transaction
from engine.errors import NotFound
from engine.people.csv_lists import Whom
from engine.staff import exports
from tests import people_lists as make
from tests.books import by_hand
from tests.flows.house import rows
from tests.flows.lists import imported, mailable


def exported(deps: Deps, whom: Whom = Whom()) -> list[dict[str, str]]:  # noqa: B008 it is frozen
    with transaction(deps.sessions) as session:
        whole = b"".join(exports.stream(session, whom)).decode()
    return list(csv.DictReader(io.StringIO(whole, newline="")))


def fill(deps: Deps, tmp_path: Path) -> None:
    told = [
        make.subscriber("rosa@example.org", NOTES="-2+3", **{"Phone Number": "+1 508 555 0123"})
        | {"First Name": "=1+1"},
        make.subscriber("ana@example.org")
        | {"Last Name": '\u00d1u\u00f1ez, "A"', "Address": "", "Favourite issue": "@Trees"},
    ]
    imported(deps, make.write(tmp_path / "subscribed.csv", make.MAILCHIMP, told))
    imported(deps, make.write(tmp_path / "left.csv", make.MAILCHIMP_UNSUBSCRIBED, [make.left("left@example.org")]))
    imported(deps, make.write(tmp_path / "cleaned.csv", make.MAILCHIMP_CLEANED, [make.cleaned("bad@example.org")]))


def test_no_cell_of_an_export_is_a_formula(deps: Deps, tmp_path: Path):
    fill(deps, tmp_path)
    found = {row["email"]: row for row in exported(deps)}
    assert [cell for row in found.values() for cell in row.values() if cell[:1] in set("=+-@\t\r\n") - {""}] == []
    rosa = found["rosa@example.org"]
    assert (rosa["first_name"], rosa["phone"], rosa["custom:mailchimp_notes"]) == ("'=1+1", "'+1 508 555 0123", "'-2+3")
    assert (rosa["status"], found["left@example.org"]["status"], found["bad@example.org"]["status"]) == (
        "subscribed", "unsubscribed", "cleaned",
    )  # fmt: skip


def test_an_export_comes_back_through_the_import_as_it_was(deps: Deps, tmp_path: Path):
    fill(deps, tmp_path)
    with transaction(deps.sessions) as session:
        whole = b"".join(exports.stream(session, Whom()))
    before, may = exported(deps), mailable(deps)
    with transaction(deps.sessions) as session:
        by_hand(session, "TRUNCATE contact, consent, suppression, chapter_move, bookmark CASCADE")
    (tmp_path / "ours.csv").write_bytes(whole)
    code, said = imported(deps, tmp_path / "ours.csv")
    assert (code, mailable(deps)) == (0, may), said
    assert exported(deps) == before


def test_a_list_is_of_a_chapter_with_those_below_it_an_interest_or_who_may_be_mailed(deps: Deps, tmp_path: Path):
    fill(deps, tmp_path)
    with transaction(deps.sessions) as session:
        session.execute(text("INSERT INTO agenda (code, name) VALUES ('a', 'A')"))
        session.execute(
            text("INSERT INTO interest (code, agenda_id, name) SELECT 'i1', min(id), 'Housing' FROM agenda")
        )
        session.execute(
            text(
                "INSERT INTO contact_interest (contact_id, interest_id, at, source) "
                "SELECT c.id, i.id, now(), 'join' FROM contact c, interest i WHERE c.email LIKE 'left@%'"
            )
        )
    root, hers = rows(
        deps, "SELECT slug FROM chapter WHERE parent_id IS NULL UNION ALL "
        "SELECT h.slug FROM contact c JOIN chapter h ON h.id = c.chapter_id WHERE c.email LIKE 'rosa@%'",
    )  # fmt: skip

    def who(**whom: object) -> set[str]:
        return {row["email"].partition("@")[0] for row in exported(deps, Whom(**whom))}

    assert who(chapter=root.slug) == who() == {"rosa", "ana", "left", "bad"}
    assert who(chapter=hers.slug) == {"rosa"}
    assert who(mailable=True) == {"rosa", "ana"}
    assert who(interest="i1") == {"left"}
    assert who(interest="i1", mailable=True) == set()
    with pytest.raises(NotFound):
        exported(deps, Whom(chapter="nowhere"))


def test_who_has_no_address_was_erased_or_merged_is_in_no_export(deps: Deps, tmp_path: Path):
    fill(deps, tmp_path)
    with transaction(deps.sessions) as session:
        session.execute(text("UPDATE contact SET erased_at = now(), email = NULL WHERE email LIKE 'ana@%'"))
        session.execute(
            text(
                "UPDATE contact SET merged_into_id = (SELECT id FROM contact WHERE email LIKE 'rosa@%') "
                "WHERE email LIKE 'bad@%'"
            )
        )
    assert {row["email"] for row in exported(deps)} == {"rosa@example.org", "left@example.org"}


def test_an_export_is_on_record_with_codes_alone(deps: Deps):
    with deps.work() as (session, now):
        exports.note(session, None, Whom(chapter="worcester", mailable=True), now)
    (row,) = rows(deps, "SELECT action, subject, detail, staff_id FROM audit")
    assert tuple(row) == ("people exported", "contact", {"chapter": "worcester", "mailable": True}, None)
