"""Changed territories: what is previewed is what happens, once, whatever crashes; who chose or was placed stays."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.bootstrap import Deps
from engine.db import transaction
from engine.errors import Conflict, Invalid, NotFound
from engine.events import MatterSettled, Person
from engine.people import consent, contacts, lands, relocation, routing, territories
from engine.people.lands import Land, Proposal
from tests.flows.house import one, rows

NOON = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)
FRANKLIN = "MA:Franklin County"
# Greenfield is nobody's; Worcester and Springfield have chapters; Fitchburg is its region's.
ZIPS = ("01301", "01604", "01605", "01108", "01420", None)


def people(session: Session, zips: Sequence[str | None] = ZIPS, prefix: str = "p") -> list[str]:
    emails = [f"{prefix}{number}@example.org" for number in range(len(zips))]
    said = [(Person(email=email, zip=code), NOON) for email, code in zip(emails, zips, strict=True)]
    contacts.admit(session, said, NOON)
    return emails


def home(session: Session, email: str) -> tuple[Any, ...]:
    return tuple(
        session.execute(
            text(
                "SELECT h.slug, routed_by, routed_on FROM contact c JOIN chapter h ON h.id = c.chapter_id WHERE email = :e"
            ),
            {"e": email},
        ).one()
    )


def set_hint(session: Session, email: str, column: str, slug: str) -> None:
    statement = f"UPDATE contact SET {column} = (SELECT id FROM chapter WHERE slug = :s), chapter_id = "
    session.execute(
        text(statement + "(SELECT id FROM chapter WHERE slug = :s) WHERE email = :e"), {"s": slug, "e": email}
    )


def give(**chapters: Land) -> Proposal:
    """A proposal: keys are slugs with _ for -."""
    return Proposal(chapters={slug.replace("_", "-"): land for slug, land in chapters.items()})


def with_zip(session: Session, slug: str, code: str) -> Land:
    land = lands.held(session, [slug])[slug]
    return land.model_copy(update={"zips": (*land.zips, code)})


def applied(session: Session, now: datetime = NOON) -> int:
    """All steps in this session; returns how many people moved."""
    moved, done = 0, territories.step(session, now)
    while done.more:
        moved, done = moved + done.people, territories.step(session, now)
    return moved + done.people


def history(session: Session) -> list[tuple[Any, ...]]:
    found = session.execute(
        text(
            'SELECT c.email, f.slug, t.slug, m.by, m."on", m.at, m.territory_change_id FROM chapter_move m'
            " JOIN contact c ON c.id = m.contact_id LEFT JOIN chapter f ON f.id = m.from_chapter_id"
            " LEFT JOIN chapter t ON t.id = m.to_chapter_id WHERE m.territory_change_id IS NOT NULL ORDER BY c.email, m.id"
        )
    )
    return [tuple(row) for row in found]


def helper(session: Session, email: str, state: str = "new") -> None:
    session.execute(
        text(
            "INSERT INTO volunteer_offer (contact_id, way_to_help_id, state, at) SELECT c.id, w.id, :state, now()"
            " FROM contact c, way_to_help w WHERE c.email = :e AND w.code = 'w3h8'"
        ),
        {"e": email, "state": state},
    )


def lead(session: Session, email: str, slug: str) -> None:
    session.execute(
        text(
            "INSERT INTO chapter_lead (chapter_id, contact_id) SELECT h.id, c.id FROM contact c, chapter h"
            " WHERE c.email = :e AND h.slug = :s"
        ),
        {"e": email, "s": slug},
    )


def test_the_preview_says_whom_it_moves_of_them_leads_and_volunteers_and_from_where_to_where(session: Session):
    emails = people(session, ["01604"] * 5 + ["01605", "01108"])
    helper(session, emails[0])
    helper(session, emails[1], "withdrawn")
    lead(session, emails[2], "worcester")
    lead(session, emails[0], "worcester")
    lead(session, emails[6], "springfield")
    land = lands.held(session, ["worcester", "springfield"])
    theirs = land["worcester"].model_copy(update={"zips": tuple(z for z in land["worcester"].zips if z != "01604")})
    ours = land["springfield"].model_copy(update={"zips": (*land["springfield"].zips, "01604")})
    found = territories.preview(session, give(worcester=theirs, springfield=ours))
    assert found.sentence == "moves 5 people, 2 of them leads or volunteers"
    assert (found.stay, found.zips) == (0, 1)
    assert found.moves == (relocation.Moves("worcester", "Worcester", "springfield", "Springfield", 5, 2),)


def test_what_was_previewed_is_what_happens(session: Session):
    people(session, [*ZIPS, "01301", "01301", "02554", "99999"])
    before = {row.email: row.chapter_id for row in session.execute(text("SELECT email, chapter_id FROM contact"))}
    proposal = give(
        berkshires=Land(counties=(FRANKLIN,)), worcester=Land(zips=("01604",)), western=Land(states=("MA",)),
        cape_cod=Land(miles=60, latitude=41.65, longitude=-70.28),
    )  # fmt: skip
    change = territories.propose(session, proposal, "the year's plan", None, NOON)
    assert {
        row.email: row.chapter_id for row in session.execute(text("SELECT email, chapter_id FROM contact"))
    } == before
    territories.approve(session, change.id, None, NOON)
    assert applied(session) == change.preview.people > 3
    happened: dict[tuple[str, str], int] = {}
    for _, was, becomes, *_ in history(session):
        happened[was, becomes] = happened.get((was, becomes), 0) + 1
    assert happened == {(each.from_slug, each.to_slug): each.people for each in change.preview.moves}
    assert home(session, "p0@example.org") == ("berkshires", "county", FRANKLIN)
    assert home(session, "p5@example.org")[0] == "massachusetts"  # no ZIP, no state
    assert home(session, "p8@example.org") == ("cape-cod", "radius", home(session, "p8@example.org")[2])


def test_everybody_ends_where_the_pure_rule_says(session: Session):
    people(session, [*ZIPS, "99999", "02554", "02110", "03431"])
    session.execute(text("UPDATE contact SET state = ' ma' WHERE zip IS NULL OR zip = '99999'"))
    set_hint(session, "p1@example.org", "placed_chapter_id", "lowell")
    set_hint(session, "p2@example.org", "chosen_chapter_id", "lowell")
    set_hint(session, "p3@example.org", "entity_chapter_id", "worcester")
    proposal = give(central=Land(states=("MA",)), springfield=Land(counties=("MA:Worcester County",)))
    territories.decree(session, proposal, "", None, NOON)
    applied(session)
    mine = session.execute(text("SELECT email, chapter_id, routed_by, routed_on FROM contact ORDER BY id")).all()
    ids = list(session.scalars(text("SELECT id FROM contact")))
    assert {change.by for change in routing.rehome(session, ids, NOON, None)} <= {"staff", "choice", "entity"}
    after = session.execute(text("SELECT email, chapter_id, routed_by, routed_on FROM contact ORDER BY id")).all()
    decided = {"p1@example.org", "p2@example.org", "p3@example.org"}
    assert [row for row in mine if row.email not in decided] == [row for row in after if row.email not in decided]
    assert [row.chapter_id for row in mine] == [row.chapter_id for row in after]
    assert home(session, "p5@example.org") == ("central", "state", "MA")
    assert home(session, "p6@example.org") == ("central", "state", "MA")


@pytest.mark.parametrize("column", ["placed_chapter_id", "chosen_chapter_id", "entity_chapter_id"])
def test_who_was_placed_or_chose_or_gave_to_a_chapter_stays_and_the_preview_counts_her(session: Session, column: str):
    people(session, ["01301", "01301", "01604"])
    set_hint(session, "p0@example.org", column, "lowell")
    set_hint(session, "p2@example.org", column, "lowell")  # her place does not change hands
    change = territories.propose(session, give(berkshires=Land(counties=(FRANKLIN,))), "", None, NOON)
    assert (change.preview.people, change.preview.stay) == (1, 1)
    territories.approve(session, change.id, None, NOON)
    assert applied(session) == 1
    assert home(session, "p0@example.org")[0] == "lowell"
    assert home(session, "p1@example.org")[0] == "berkshires"


def test_who_was_merged_or_erased_is_left_alone(session: Session):
    people(session, ["01301", "01301", "01301"])
    session.execute(text("UPDATE contact SET erased_at = now() WHERE email = 'p0@example.org'"))
    session.execute(
        text(
            "UPDATE contact SET merged_into_id = (SELECT id FROM contact WHERE email = 'p2@example.org')"
            " WHERE email = 'p1@example.org'"
        )
    )
    change = territories.decree(session, give(berkshires=Land(counties=(FRANKLIN,))), "", None, NOON)
    assert (change.preview.people, applied(session)) == (1, 1)


def test_history_tells_which_change_moved_her_and_by_what(session: Session):
    people(session, ["01301"])
    change = territories.decree(session, give(berkshires=Land(counties=(FRANKLIN,))), "", None, NOON)
    applied(session)
    assert history(session) == [("p0@example.org", "massachusetts", "berkshires", "county", FRANKLIN, NOON, change.id)]


def test_who_stays_in_her_chapter_for_another_reason_is_told_the_reason_and_no_move(session: Session):
    people(session, ["01605"])
    land = Land(counties=("MA:Worcester County",))
    territories.decree(session, give(worcester=land, central=Land()), "", None, NOON)
    assert applied(session) == 0
    assert home(session, "p0@example.org") == ("worcester", "county", "MA:Worcester County")
    assert history(session) == []


def test_applied_twice_is_applied_once(session: Session):
    people(session, ["01301"])
    change = territories.decree(session, give(berkshires=Land(counties=(FRANKLIN,))), "", None, NOON)
    assert (applied(session), applied(session)) == (1, 0)
    assert len(history(session)) == 1
    state = session.execute(
        text("SELECT state, applied_at FROM territory_change WHERE id = :i"), {"i": change.id}
    ).one()
    assert tuple(state) == ("applied", NOON)
    with pytest.raises(Conflict, match="applied already"):
        territories.approve(session, change.id, None, NOON)


def test_a_change_waits_until_it_is_decided_and_is_decided_once(session: Session):
    people(session, ["01301"])
    change = territories.propose(session, give(berkshires=Land(counties=(FRANKLIN,))), "plan", None, NOON)
    assert territories.waiting(session) == [change]
    assert change.asks.detail == "plan: moves 1 person"
    assert applied(session) == 0
    settled = territories.decline(session, change.id, None, NOON)
    assert settled == [MatterSettled(None, territories.WAITING, change.asks.subject)]
    assert (territories.waiting(session), applied(session)) == ([], 0)
    with pytest.raises(Conflict, match="declined already"):
        territories.approve(session, change.id, None, NOON)
    with pytest.raises(NotFound):
        territories.decline(session, change.id + 1, None, NOON)


def test_a_preview_that_has_aged_is_not_approved(session: Session):
    first = territories.propose(session, give(berkshires=Land(counties=(FRANKLIN,))), "", None, NOON)
    second = territories.propose(session, give(worcester=Land(counties=(FRANKLIN,))), "", None, NOON)
    territories.approve(session, first.id, None, NOON)
    with pytest.raises(Conflict, match="being applied"):
        territories.approve(session, second.id, None, NOON)
    applied(session)
    with pytest.raises(Conflict, match="propose it anew"):
        territories.approve(session, second.id, None, NOON)
    territories.decline(session, second.id, None, NOON)


def test_changes_are_applied_in_the_order_in_which_they_were_approved(session: Session):
    people(session, ["01301"])
    first, second = Land(counties=(FRANKLIN,)), Land(zips=("01301",))
    territories.decree(session, give(worcester=second), "", None, NOON + timedelta(minutes=1))
    territories.decree(session, give(berkshires=first), "", None, NOON)
    assert applied(session) == 2
    assert home(session, "p0@example.org") == ("worcester", "zip", "01301")
    assert [becomes for _, _, becomes, *_ in history(session)] == ["berkshires", "worcester"]


def test_a_chapter_that_is_not_there_or_a_place_that_is_not_there_is_refused(session: Session):
    with pytest.raises(NotFound, match="no chapter atlantis"):
        territories.propose(session, give(atlantis=Land(zips=("01604",))), "", None, NOON)
    land = Land(zips=("00000",), counties=("MA:Worcester",), states=("ZZ",))
    with pytest.raises(Invalid, match="ZIP 00000, county MA:Worcester, state ZZ"):
        territories.propose(session, give(worcester=land), "", None, NOON)


@pytest.mark.parametrize(
    "land",
    [{"zips": ["1604"]}, {"zips": ["01604\n"]}, {"zips": [1604]}, {"counties": ["Worcester"]}, {"states": ["ma"]},
     {"miles": -1}, {"miles": 501}, {"miles": "12"}, {"latitude": 42.0}, {"miles": 5}, {"cities": ["Worcester"]},
     {"latitude": 91.0, "longitude": 0.0}, {"latitude": float("nan"), "longitude": 0.0}],
)  # fmt: skip
def test_land_that_means_nothing_is_refused(land: dict[str, Any]):
    with pytest.raises(ValidationError):
        Land.model_validate(land, strict=None)


def test_an_opt_out_outlives_a_move(session: Session):
    people(session, ["01301"])
    known = contacts.known(session, ["p0@example.org"])
    word = {
        "contact_id": known["p0@example.org"],
        "channel": "mail",
        "at": NOON,
        "source": "preferences",
        "place": "",
        "wording": "",
    }
    consent.hear(session, [word | {"kind": "chapter", "given": False}, word | {"kind": "", "given": False}])
    before = session.execute(text("SELECT * FROM consent ORDER BY id")).all()
    territories.decree(session, give(berkshires=Land(counties=(FRANKLIN,))), "", None, NOON)
    assert applied(session) == 1
    assert session.execute(text("SELECT * FROM consent ORDER BY id")).all() == before


def prepared(deps: Deps, number: int) -> int:
    """So many people of Greenfield, and an approved change that concerns them."""
    with transaction(deps.sessions) as session:
        people(session, ["01301"] * number)
        land = give(berkshires=Land(counties=(FRANKLIN,)))
        return territories.decree(session, land, "", None, NOON).id


def moved(deps: Deps) -> int:
    return int(one(deps, "SELECT count(*) FROM chapter_move WHERE territory_change_id IS NOT NULL")[0])


def test_a_crash_between_stretches_loses_nobody_and_moves_nobody_twice(deps: Deps):
    prepared(deps, territories.STRETCH + 5)
    with deps.work() as (session, now):
        assert territories.step(session, now) == territories.Step(more=True)  # the map
    with deps.work() as (session, now):
        assert territories.step(session, now).people == territories.STRETCH
        session.rollback()  # the process dies before it commits
    assert moved(deps) == 0
    with deps.work() as (session, now):
        assert territories.step(session, now).people == territories.STRETCH
    assert one(deps, "SELECT state FROM territory_change").state == "approved"
    assert territories.apply(deps.work) == 5
    assert moved(deps) == territories.STRETCH + 5
    assert one(deps, "SELECT state FROM territory_change").state == "applied"
    assert one(deps, "SELECT count(*) FROM bookmark")[0] == 0
    assert one(deps, "SELECT count(DISTINCT contact_id) FROM chapter_move")[0] == territories.STRETCH + 5


def test_whoever_is_admitted_while_it_is_applied_ends_up_right(deps: Deps):
    prepared(deps, 3)
    with deps.work() as (session, now):
        territories.step(session, now)
    with transaction(deps.sessions) as session:
        people(session, ["01301"], "late")
    territories.apply(deps.work)
    assert {row.slug for row in rows(deps, "SELECT h.slug FROM contact c JOIN chapter h ON h.id = c.chapter_id")} == {
        "berkshires"
    }
    assert moved(deps) == 3


def test_only_one_applies_at_a_time(deps: Deps):
    prepared(deps, 3)
    with deps.work() as (session, now):
        assert territories.step(session, now).more
        assert territories.apply(deps.work) == 0
    assert territories.apply(deps.work) == 3


def test_who_holds_a_contact_is_waited_for_and_then_left_for_later(deps: Deps):
    prepared(deps, 3)
    with deps.work() as (session, now):
        territories.step(session, now)
    with transaction(deps.sessions) as session:
        session.execute(text("SELECT FROM contact WHERE email = 'p1@example.org' FOR UPDATE"))
        assert territories.apply(deps.work) == 0
    assert one(deps, "SELECT state FROM territory_change").state == "approved"
    assert territories.apply(deps.work) == 3


def test_the_map_is_not_drawn_before_those_who_hold_it_are_through_and_they_end_up_right(deps: Deps):
    prepared(deps, 3)
    with transaction(deps.sessions) as session:
        people(session, ["01301"], "slow")  # routed by the old map, and not committed yet
        assert territories.apply(deps.work) == 0
        assert one(deps, "SELECT count(*) FROM territory WHERE place = 'MA:Franklin County'")[0] == 0
    assert territories.apply(deps.work) == 4
    homes = rows(deps, "SELECT DISTINCT h.slug FROM contact c JOIN chapter h ON h.id = c.chapter_id")
    assert [row.slug for row in homes] == ["berkshires"]


def test_a_donor_without_an_address_moves_with_her_neighbours(session: Session):
    people(session, ["01301"])
    session.execute(text("UPDATE contact SET email = NULL, donor_key = 'someone' WHERE email = 'p0@example.org'"))
    change = territories.decree(session, give(berkshires=Land(counties=(FRANKLIN,))), "", None, NOON)
    assert (change.preview.people, applied(session)) == (1, 1)


def test_of_two_changes_approved_at_once_the_second_waits_and_is_refused(deps: Deps):
    with transaction(deps.sessions) as session:
        first, second = (
            territories.propose(session, give(lowell=with_zip(session, "lowell", code)), "", None, NOON)
            for code in ("01301", "01302")
        )
    refused: list[Conflict] = []

    def approve_the_second() -> None:
        try:
            with transaction(deps.sessions) as session:
                territories.approve(session, second.id, None, NOON)
        except Conflict as error:
            refused.append(error)

    with transaction(deps.sessions) as session:
        territories.approve(session, first.id, None, NOON)
        other = Thread(target=approve_the_second)
        other.start()
        other.join(1)
    other.join()
    assert [str(error) for error in refused] == [
        "another change of territories is being applied; try again in a minute"
    ]
