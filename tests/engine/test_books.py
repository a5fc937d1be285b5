"""The books: they balance after any flow, and whatever is changed behind their back is found and named."""

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from engine import inbox
from engine.bootstrap import Deps
from engine.db import transaction
from engine.events import ContributionRecorded
from engine.giving import books
from engine.inbox import Verdict
from engine.reactions import react
from engine.settings import Settings
from engine.sources import parse
from tests.books import assert_books_balance, by_hand
from tests.commands import Done, groundswell
from tests.fakes import FakeClock
from tests.flows.house import put, run_everything
from tests.make import actblue_body, arrived, line_item, payload, raw

AMOUNT = "a contribution's amount is not what the ledger holds"
STATUS = "a contribution's status does not follow from the ledger"
GONE = "an event was applied but its contribution is gone"
STRANGER = "a ledger entry is not its contribution's"
TOTALS = "a contact's totals are not the sum of her gifts"


def hidden(**changed: Any) -> dict[str, Any]:
    """A gift through somebody else's form: no name, no address, no contact, no totals."""
    body = actblue_body(**changed)
    body["donor"] = {"zip": "01605"}
    return body


def enter(session: Session, body: bytes) -> list[int]:
    """Store, apply and finish one body, as intake does. Returns the ids of its contributions."""
    values = {"key": hashlib.sha256(body).hexdigest(), "body": body}
    insert = text(
        "INSERT INTO inbound_event (source, key, lane, body) VALUES ('actblue', :key, 'intake', :body) RETURNING id"
    )
    event = session.execute(insert, values).scalar_one()
    everything = react(session, list(parse(arrived(body, id=event))), FakeClock().now, Settings())
    inbox.finish(session, [Verdict(event, "applied", "gift")])
    return [made.contribution_id for made in everything if isinstance(made, ContributionRecorded)]


@pytest.fixture
def gifts(session: Session) -> dict[str, int]:
    """Books with several gifts: of one donor, of a hidden one, to a stranger's committee, several in one body."""
    mine = actblue_body(lineitems=[line_item(amount="50.0", paidAt="2026-09-02T08:00:00-04:00")])
    again = actblue_body(donor=mine["donor"], lineitems=[line_item(amount="27.0")])
    two = [line_item(amount="10.0"), line_item(amount="15.0")]
    strangers = [line_item(amount="5.0"), line_item(amount="6.0", entityId=999)]
    ids = {
        "first": enter(session, raw(mine))[0],
        "second": enter(session, raw(again))[0],
        "hidden": enter(session, raw(hidden()))[0],
        "hidden beside another": enter(session, raw(hidden(lineitems=two)))[1],
        "to a stranger beside one to us": enter(session, raw(actblue_body(lineitems=strangers)))[1],
        "to a stranger": enter(session, raw(actblue_body(lineitems=[line_item(entityId=999)])))[0],
    }
    assert_books_balance(session)
    return ids


def found(session: Session) -> dict[str, str]:
    """The rules that do not hold, with the last detail of each."""
    return {wrong.rule: f"{wrong.subject}: {wrong.detail}" for wrong in books.check(session).discrepancies}


def change(session: Session, statement: str, **values: Any) -> None:
    assert by_hand(session, statement, **values) >= 1


def test_empty_books_balance(session: Session):
    assert books.check(session) == books.Books(0, 0, 0, ())


def test_a_flow_of_several_gifts_balances(deps: Deps):
    bodies = [raw(actblue_body()) for _ in range(5)]
    bodies += [
        payload(f"actblue/{name}.json") for name in ("older_shape", "newer_shape", "two_line_items", "hidden_donor")
    ]
    bodies += [payload("actblue/refund.json"), payload("actblue/cancellation.json"), b"rubbish"]
    bodies += [raw(hidden()), raw(actblue_body(lineitems=[line_item(entityId=999)]))]
    for body in bodies:
        put(deps, body)
    run_everything(deps)
    with transaction(deps.sessions) as session:
        assert_books_balance(session)
        proof = books.check(session)
    assert (proof.contributions, proof.entries) == (12, 13)
    assert proof.cents == 7 * 2700 + 5000 - 5000 + 2577 + 101_000 + 1500


@pytest.mark.usefixtures("gifts")
def test_books_of_all_kinds_of_gifts_say_what_they_hold(session: Session):
    proof = books.check(session)
    assert (proof.contributions, proof.entries, proof.cents) == (8, 8, 5000 + 2700 + 2700 + 2500 + 1100 + 2700)


KINDS = ["first", "second", "hidden", "hidden beside another", "to a stranger beside one to us", "to a stranger"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("table", ["contribution", "ledger_entry"])
def test_an_amount_that_was_changed_on_one_side_is_found(
    session: Session, gifts: dict[str, int], kind: str, table: str
):
    key = "id" if table == "contribution" else "contribution_id"
    change(session, f"UPDATE {table} SET amount_cents = amount_cents + 1 WHERE {key} = :id", id=gifts[kind])
    assert found(session)[AMOUNT].startswith(f"contribution {gifts[kind]}: ")


@pytest.mark.parametrize("kind", KINDS)
def test_an_amount_that_was_changed_on_both_sides_is_found(session: Session, gifts: dict[str, int], kind: str):
    change(session, "UPDATE contribution SET amount_cents = amount_cents + 1 WHERE id = :id", id=gifts[kind])
    change(
        session, "UPDATE ledger_entry SET amount_cents = amount_cents + 1 WHERE contribution_id = :id", id=gifts[kind]
    )
    assert found(session) != {}


@pytest.mark.parametrize("kind", KINDS)
def test_a_ledger_entry_that_was_deleted_is_found(session: Session, gifts: dict[str, int], kind: str):
    change(session, "DELETE FROM ledger_entry WHERE contribution_id = :id", id=gifts[kind])
    assert found(session)[AMOUNT].endswith("the ledger says nothing")


@pytest.mark.parametrize("kind", KINDS)
def test_a_contribution_that_was_deleted_with_its_ledger_entry_is_found(
    session: Session, gifts: dict[str, int], kind: str
):
    change(session, "DELETE FROM ledger_entry WHERE contribution_id = :id", id=gifts[kind])
    change(session, "DELETE FROM contribution WHERE id = :id", id=gifts[kind])
    assert found(session) != {}


def test_a_ledger_entry_that_was_added_is_found(session: Session, gifts: dict[str, int]):
    change(
        session,
        "INSERT INTO ledger_entry (contribution_id, kind, source, source_key, amount_cents, occurred_at)"
        " SELECT contribution_id, kind, source, 'invented', 100, occurred_at FROM ledger_entry WHERE contribution_id = :id",
        id=gifts["first"],
    )
    assert set(found(session)) == {TOTALS, STRANGER}


def test_a_gift_that_was_given_to_another_contact_is_found(session: Session, gifts: dict[str, int]):
    change(
        session,
        "UPDATE contribution SET contact_id = (SELECT max(id) FROM contact) WHERE id = :id",
        id=gifts["first"],
    )
    assert set(found(session)) == {TOTALS}


@pytest.mark.parametrize("status", ["refunded", "disputed", "", "Received"])
def test_a_status_that_was_changed_is_found(session: Session, gifts: dict[str, int], status: str):
    change(session, "UPDATE contribution SET status = :status WHERE id = :id", status=status, id=gifts["first"])
    assert found(session) == {STATUS: f"contribution {gifts['first']}: '{status}', must be received"}


TOTAL = {
    "gave_count": 987_654, "gave_cents": 987_654, "gave_highest_cents": 987_654, "gave_last_cents": 987_654,
    "gave_first_at": "2001-02-03T04:05:06+00:00", "gave_last_at": "2031-02-03T04:05:06+00:00",
    "gave_peaks_at": ["2001-02-03T04:05:06+00:00"], "gave_peaks_cents": [987_654],
}  # fmt: skip


@pytest.mark.parametrize(("total", "wrong"), TOTAL.items(), ids=TOTAL)
def test_a_total_that_was_changed_is_found_and_shown(
    session: Session, gifts: dict[str, int], total: str, wrong: object
):
    donor = session.execute(
        text("SELECT contact_id FROM contribution WHERE id = :id"), {"id": gifts["first"]}
    ).scalar_one()
    change(session, f"UPDATE contact SET {total} = :wrong WHERE id = :id", wrong=wrong, id=donor)
    assert set(found(session)) == {TOTALS}
    shown = found(session)[TOTALS]
    assert shown.startswith(f"contact {donor}: ")
    assert str(wrong).strip("[']")[:10] in shown


@pytest.mark.parametrize("total", ["gave_first_at", "gave_last_at"])
@pytest.mark.usefixtures("gifts")
def test_a_moment_that_is_missing_is_found(session: Session, total: str):
    change(session, f"UPDATE contact SET {total} = NULL WHERE gave_count > 0")
    assert set(found(session)) == {TOTALS}


@pytest.mark.usefixtures("gifts")
def test_totals_of_a_contact_who_never_gave_are_found(session: Session):
    change(session, "INSERT INTO contact (email, details_at, gave_cents) VALUES ('sam@example.org', now(), 100)")
    assert set(found(session)) == {TOTALS}


def test_an_applied_event_without_a_contribution_is_found(session: Session, gifts: dict[str, int]):
    change(session, "UPDATE contribution SET inbound_event_id = NULL WHERE id = :id", id=gifts["first"])
    assert set(found(session)) == {GONE}


def test_of_very_many_discrepancies_the_first_are_listed(session: Session):
    enter(session, raw(actblue_body(lineitems=[line_item() for _ in range(books.LISTED + 5)])))
    change(session, "UPDATE contribution SET status = 'refunded'")
    assert len(books.check(session).discrepancies) == books.LISTED


def checked(deps: Deps, folder: Path) -> Done:
    """`groundswell books check` on this house."""
    return groundswell(deps, "books", "check", folder=folder)


def test_the_command_says_that_the_books_balance_or_fails_and_names_what_does_not(deps: Deps, tmp_path: Path):
    put(deps, raw(actblue_body()))
    run_everything(deps)
    fine = checked(deps, tmp_path)
    assert (fine.returncode, fine.stderr) == (0, "")
    assert fine.stdout == f"1 contributions, 1 ledger entries, $27{os.linesep}The books balance.{os.linesep}"
    with transaction(deps.sessions) as session:
        change(session, "UPDATE contribution SET amount_cents = 2701")
        (id_,) = session.scalars(text("SELECT id FROM contribution"))
    wrong = checked(deps, tmp_path)
    assert (wrong.returncode, wrong.stderr) == (1, "")
    for said in ("THE BOOKS DO NOT BALANCE", AMOUNT, f"contribution {id_}", "2701 cents, the ledger says 2700"):
        assert said in wrong.stdout
    assert "example.org" not in wrong.stdout


def test_a_ledger_entry_moved_in_time_or_currency_is_found(session: Session, gifts: dict[str, int]):
    for changed in ("occurred_at = occurred_at - interval '1 day'", "currency = 'cad'"):
        with session.begin_nested() as tampering:
            change(session, f"UPDATE ledger_entry SET {changed} WHERE contribution_id = :id", id=gifts["hidden"])
            assert STRANGER in found(session)
            tampering.rollback()


def test_an_amount_changed_in_both_places_is_found_against_the_raw_body(session: Session, gifts: dict[str, int]):
    change(session, "UPDATE contribution SET amount_cents = 1 WHERE id = :id", id=gifts["hidden"])
    change(session, "UPDATE ledger_entry SET amount_cents = 1 WHERE contribution_id = :id", id=gifts["hidden"])
    assert list(found(session)) == ["a gift is not on the books as it was told"]


def test_a_gift_taken_away_with_its_event_called_ignored_is_found(session: Session, gifts: dict[str, int]):
    hidden = {"id": gifts["hidden"]}
    change(
        session,
        "UPDATE inbound_event SET state = 'ignored' WHERE id = (SELECT inbound_event_id FROM contribution WHERE id = :id)",
        **hidden,
    )
    change(session, "DELETE FROM ledger_entry WHERE contribution_id = :id", **hidden)
    change(session, "DELETE FROM contribution WHERE id = :id", **hidden)
    assert "a gift is not on the books as it was told" in found(session)


def test_a_raw_body_that_was_tampered_with_is_told_and_stops_no_other_check(session: Session, gifts: dict[str, int]):
    change(
        session,
        "UPDATE inbound_event SET body = 'nothing' WHERE id = (SELECT inbound_event_id FROM contribution WHERE id = :id)",
        id=gifts["first"],
    )
    change(session, "UPDATE contact SET gave_count = gave_count + 1")
    assert set(found(session)) == {"an event on the books cannot be read any more", TOTALS}


@pytest.mark.usefixtures("gifts")
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_entry SET amount_cents = 1", "DELETE FROM ledger_entry", "TRUNCATE ledger_entry",
        "UPDATE ledger_entry SET contribution_id = contribution_id WHERE false", "DELETE FROM contribution",
        "UPDATE contribution SET amount_cents = 1", "UPDATE contribution SET paid_at = now()",
        "UPDATE contribution SET currency = 'eur'", "TRUNCATE contribution CASCADE",
    ],
)  # fmt: skip
def test_what_was_booked_cannot_be_changed_or_taken_out(session: Session, statement: str):
    with pytest.raises(DBAPIError, match=r"the ledger only grows|a gift stays on the books as it was told"):
        session.execute(text(statement))
