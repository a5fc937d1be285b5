"""Homes among many workers: nobody is overlooked when the map changes, nobody moves twice; and the command that says why."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine import bell
from engine.bootstrap import Deps
from engine.db import transaction
from engine.events import ChapterChanged, Person
from engine.people import contacts, routing
from tests.commands import groundswell
from tests.flows.house import one, put, rows, run_everything
from tests.make import NOON, actblue_body, line_item, raw
from workers import intake

ROSA, WORKERS = "rosa@example.org", 4


def admit(session: Session, **said: Any) -> int:
    contacts.admit(session, [(Person(email=ROSA, first_name="Rosa", **said), NOON)], NOON)
    found: int = session.execute(text("SELECT id FROM contact WHERE email = :email"), {"email": ROSA}).scalar_one()
    return found


def waits(running: Future[Any]) -> None:
    with pytest.raises(NotYet):
        running.result(0.5)


def meanwhile(work: Callable[[], Any]) -> tuple[ThreadPoolExecutor, Future[Any]]:
    pool = ThreadPoolExecutor(1)
    return pool, pool.submit(work)


def test_who_is_being_admitted_while_the_map_changes_is_moved_with_all_others(deps: Deps):
    def claim_boston() -> list[ChapterChanged]:
        with transaction(deps.sessions) as session:
            session.execute(text("INSERT INTO territory (chapter_id, kind, place)"
                                 " SELECT id, 'zip', '02110' FROM chapter WHERE slug = 'south-shore'"))  # fmt: skip
            assert routing.remake(session) == ["02110"]
        with transaction(deps.sessions) as session:
            theirs = session.scalars(text("SELECT id FROM contact WHERE zip = '02110'")).all()
            return routing.rehome(session, theirs, NOON, None)

    with transaction(deps.sessions) as session:
        rosa = admit(session, zip="02110")
        pool, changing = meanwhile(claim_boston)
        waits(changing)
    with pool:
        (moved,) = changing.result(20)
    assert (moved.contact_id, moved.by) == (rosa, "zip")
    assert one(deps, "SELECT h.slug FROM contact c JOIN chapter h ON h.id = c.chapter_id").slug == "south-shore"


def test_two_who_rehome_the_same_person_move_her_once(deps: Deps):
    with transaction(deps.sessions) as session:
        rosa = admit(session, zip="01605")
        session.execute(text("UPDATE contact SET chosen_chapter_id = (SELECT id FROM chapter WHERE slug = 'lowell')"))

    def again() -> list[ChapterChanged]:
        with transaction(deps.sessions) as session:
            return routing.rehome(session, [rosa], NOON, None)

    with transaction(deps.sessions) as session:
        assert len(routing.rehome(session, [rosa], NOON, None)) == 1
        pool, second = meanwhile(again)
        waits(second)
    with pool:
        assert second.result(20) == []
    assert len(rows(deps, "SELECT id FROM chapter_move")) == 2


def test_four_workers_make_one_person_of_a_donor_without_an_address(deps: Deps):
    for n in range(40):
        body = actblue_body(lineitems=[line_item(), line_item()])
        if n % 4:
            del body["donor"]["email"]
        put(deps, raw(body))
    with ThreadPoolExecutor(WORKERS) as pool:
        for done in [pool.submit(intake.drain, deps, bell.INTAKE) for _ in range(WORKERS)]:
            done.result(60)
    run_everything(deps)
    donor = one(deps, "SELECT gave_count, gave_cents FROM contact WHERE email IS NULL")
    assert tuple(donor) == (60, 60 * 2700)
    assert one(deps, "SELECT max(attempts) AS most FROM inbound_event").most == 1
    assert len(deps.mailer.accepted) == 20


def test_the_command_says_why_somebody_belongs_to_her_chapter(deps: Deps):
    with transaction(deps.sessions) as session:
        admit(session, zip="01604")
    said = groundswell(deps, "chapters", "explain", "ROSA@example.org")
    assert said.stdout.splitlines() == [
        "Rosa belongs to Worcester, because their ZIP 01604 lies in its territory.",
        "Nobody placed them elsewhere, they chose no chapter themselves and they gave to no chapter's own ActBlue entity.",
        "History: on November 3, 2026 they came to Worcester (by ZIP 01604).",
    ]
    unknown = groundswell(deps, "chapters", "explain", "nobody@example.org")
    assert (unknown.returncode, unknown.stderr) == (1, "groundswell: nobody here has this address\n")
