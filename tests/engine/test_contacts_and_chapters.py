"""People: one contact per address, and why her chapter is her chapter."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from engine.events import ContributionReported, HumanNeeded, Person
from engine.people import contacts
from engine.reactions import react
from engine.settings import Settings
from engine.sources import parse
from tests.books import assert_books_balance
from tests.make import actblue_body, arrived, gift

NOON = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)
ROSA = "rosa@example.org"


def contact(session: Session, email: str = ROSA) -> Any:
    found = session.execute(
        text("SELECT c.*, h.slug FROM contact c LEFT JOIN chapter h ON h.id = c.chapter_id WHERE email = :email"),
        {"email": email},
    )
    return found.one()


def admit(session: Session, said: Any, also: Any = ()) -> None:
    contacts.admit(session, said, NOON, also)


def count(session: Session, table: str) -> int:
    return session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()


def word(minutes: int = 0, **said: Any) -> tuple[Person, datetime]:
    return Person(**{"email": ROSA, "first_name": "Rosa"} | said), NOON + timedelta(minutes=minutes)


def test_three_spellings_of_an_address_are_one_contact_with_three_gifts(session: Session):
    spellings = ("Rosa.Delgado+News@Example.ORG", " rosa.delgado+news@example.org ", "ROSA.DELGADO+NEWS@EXAMPLE.ORG")
    reported = [e for one in spellings for e in parse(arrived(actblue_body(donor={"email": one})))]
    react(session, [replace(one, cause=None) for one in reported], NOON, Settings())
    assert contact(session, "rosa.delgado+news@example.org").gave_count == 3
    assert count(session, "contact") == 1
    assert_books_balance(session)


def known(session: Session) -> dict[str, int]:
    return {row.email: row.id for row in session.execute(text("SELECT email, id FROM contact"))}


def test_a_plus_tag_and_a_dot_are_part_of_an_address(session: Session):
    admit(session, [word(email=one) for one in (ROSA, "rosa+x@example.org", "r.osa@example.org")])
    assert len(known(session)) == 3


def test_nobody_is_admitted_without_an_address(session: Session):
    admit(session, [])
    admit(session, [word(email=None), word(email="")])
    assert known(session) == {}


def test_admitting_again_gives_the_same_contacts(session: Session):
    words = [word(email=ROSA), word(email=None), word(email="sam@example.org")]
    admit(session, words)
    first = known(session)
    assert set(first) == {ROSA, "sam@example.org"}
    admit(session, reversed(words))
    assert known(session) == first


def test_a_contact_that_is_only_locked_stays_as_it_is(session: Session):
    admit(session, [word(zip="01605")])
    before = contact(session)
    admit(session, [], also=[ROSA])
    assert contact(session) == before


def test_an_older_word_with_a_zip_is_better_than_a_newer_one_without(session: Session):
    admit(session, [word(9)])
    assert contact(session).routed_on == "no ZIP"
    admit(session, [word(0, zip="01605")])
    found = contact(session)
    assert (found.slug, found.place_at, found.details_at) == ("worcester", NOON, NOON + timedelta(minutes=9))


def test_an_operator_who_gives_is_known_by_the_name_on_her_gift(session: Session):
    house = Settings(operator_email="Ops@example.org")
    react(session, [HumanNeeded(None, "event quarantined", "inbound event 1", "not valid JSON")], NOON, house)
    assert (contact(session, "ops@example.org").routed_by, contact(session, "ops@example.org").slug) == (
        "operator", "massachusetts"
    )  # fmt: skip
    react(session, [gift(donor=Person(email="ops@example.org", first_name="Ida"))], NOON, house)
    assert contact(session, "ops@example.org").first_name == "Ida"


@pytest.mark.parametrize(
    ("said", "written"),
    [("MARY", "Mary"), ("mary", "Mary"), ("Mary", "Mary"), ("McDonald", "McDonald"), ("O'NEILL", "O'Neill"),
     ("ANNE-MARIE", "Anne-Marie"), ("DE LA CRUZ", "De La Cruz"), ("van der Berg", "van der Berg"), ("JOS\u00c9", "Jos\u00e9"),
     ("", ""), ("17", "17"), ("\u82b1", "\u82b1")],
)  # fmt: skip
def test_a_shouted_or_whispered_name_is_written_as_one_would(session: Session, said: str, written: str):
    admit(session, [word(first_name=said, last_name=said)])
    assert (contact(session).first_name, contact(session).last_name) == (written, written)


ROUTES = [
    ("01605", "worcester", "zip", "01605"), ("01108", "springfield", "zip", "01108"),
    ("02110", "massachusetts", "root", "no chapter for 02110"), ("94801", "massachusetts", "root", "no chapter for 94801"),
    (None, "massachusetts", "root", "no ZIP"),
]  # fmt: skip


@pytest.mark.parametrize(("zip_code", "slug", "by", "on"), ROUTES)
def test_home_is_the_chapter_whose_territory_the_zip_is_else_the_root_and_the_reason_is_kept(
    session: Session, zip_code: str | None, slug: str, by: str, on: str
):
    admit(session, [word(zip=zip_code)])
    found = contact(session)
    assert (found.slug, found.routed_by, found.routed_on) == (slug, by, on)


def test_a_whole_batch_is_routed_each_by_her_own_zip(session: Session):
    words = [word(email=f"rosa.{n}@example.org", zip=route[0]) for n, route in enumerate(ROUTES)]
    admit(session, words)
    assert [contact(session, f"rosa.{n}@example.org").slug for n in range(len(ROUTES))] == [
        slug for _, slug, _, _ in ROUTES
    ]


def statements(session: Session, gifts: Sequence[ContributionReported]) -> list[str]:
    """The statements that following these gifts takes."""
    said: list[str] = []

    def note(*told: Any) -> None:
        said.append(told[2].replace("lock_shared(", "lock("))  # plain gifts go beside others, hidden ones alone

    connection = session.connection()
    event.listen(connection, "before_cursor_execute", note)
    react(session, list(gifts), NOON, Settings())
    event.remove(connection, "before_cursor_execute", note)
    return said


LONG_AGO = NOON - timedelta(days=40)  # nobody is told that somebody gives a lot these days


def batch(size: int) -> list[ContributionReported]:
    """Gifts of many donors in many places, to either fund and to strangers, some with a hidden address."""
    made = []
    for n in range(size):
        zip_code, entity = ROUTES[n % len(ROUTES)][0], (12345, 123456, 999)[n % 3]
        email = None if n % 5 == 0 else f"rosa.{n // 2}@example.org"
        donor = Person(email=email, first_name="Rosa", zip=zip_code)
        made.append(gift(entity_id=entity, amount_cents=100 + n, donor=donor, paid_at=LONG_AGO))
    return made


def test_the_number_of_statements_does_not_grow_with_the_batch(session: Session):
    one, ten, many = (statements(session, batch(size)) for size in (2, 10, 200))
    assert one == ten == many
    assert 5 < len(one) < 45
    assert (count(session, "contribution"), count(session, "ledger_entry")) == (212, 212)
    assert count(session, "contact") == count(session, "(SELECT DISTINCT contact_id FROM contribution) c")
    assert_books_balance(session)
