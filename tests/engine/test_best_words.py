"""What is known of a person is the best word of each group, however they arrive: none takes away what it is silent of."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from engine.events import Person
from engine.people import contacts, merging
from engine.reactions import react
from engine.settings import Settings
from tests.best_words import Word, best, known, persons

NOON = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)
ROSA, OLD = "rosa@example.org", "rosa.old@example.org"
IN_ONE_SESSION = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=75)
FULL = {
    "first_name": "Rosa", "last_name": "Delgado", "street": "14 Lincoln Street", "city": "Worcester", "state": "MA",
    "zip": "01605", "country": "US", "phone": "5085550123",
}  # fmt: skip


def word(minutes: int = 0, email: str = ROSA, **said: Any) -> Word:
    return Person(email=email, **said), NOON + timedelta(minutes=minutes)


def told(session: Session, *words: Word) -> dict[str, Any]:
    """What is known once these words have come, one after the other."""
    for one in words:
        contacts.admit(session, [one], NOON)
    return known(session, ROSA)


@pytest.mark.parametrize(
    "said", [{"zip": "01605"}, {"first_name": "Rosa"}, {"first_name": "R"}, {"phone": "5085550123"}, {"city": "Boston"},
             {"state": "NH"}, {}], ids=str,
)  # fmt: skip
def test_a_newer_word_takes_away_nothing_of_what_it_does_not_say(session: Session, said: dict[str, Any]):
    assert told(session, word(0, **FULL), word(9, **said)) == FULL


def test_a_word_with_a_name_and_one_with_a_zip_come_together(session: Session):
    assert told(session, word(0, first_name="Rosa", last_name="Delgado", phone="5085550123"), word(9, zip="01605")) == (
        FULL | {"street": "", "city": ""}
    )


def test_a_newer_name_or_phone_or_place_replaces_that_alone(session: Session):
    assert told(session, word(0, **FULL), word(1, first_name="Rosalind", last_name="Marsh")) == (
        FULL | {"first_name": "Rosalind", "last_name": "Marsh"}
    )
    assert told(session, word(2, phone="4135550188"))["phone"] == "4135550188"
    assert told(session, word(3, zip="01605", street="9 New Street", city="Worcester"))["street"] == "9 New Street"
    assert known(session, ROSA) == FULL | {
        "first_name": "Rosalind", "last_name": "Marsh", "phone": "4135550188", "street": "9 New Street",
    }  # fmt: skip


def test_an_old_street_never_stands_with_a_new_zip_not_even_when_she_comes_back(session: Session):
    moved = FULL | {"zip": "10001", "state": "NY", "street": "", "city": ""}
    assert told(session, word(0, **FULL), word(1, zip="10001")) == moved
    assert told(session, word(2, zip="01605")) == FULL | {"street": "", "city": ""}


def test_a_zip_that_is_heard_late_takes_the_street_along_that_was_told_before_it(session: Session):
    words = [word(0, **FULL), word(2, zip="01605"), word(1, zip="10001")]
    assert told(session, *words) == FULL | {"street": "", "city": ""}


def test_what_nobody_dated_fills_in_and_outweighs_nothing(session: Session):
    undated = datetime.fromtimestamp(0, UTC)
    bare = told(session, word(0, first_name="Rosa", zip="01605"))
    filled = told(session, (Person(email=ROSA, first_name="Rose", zip="10001", phone="5085550123"), undated))
    assert filled == bare | {"phone": "5085550123"}


WORDS = st.lists(
    st.tuples(persons(ROSA), st.integers(0, 3).map(lambda n: NOON + timedelta(minutes=n))), min_size=1, max_size=6
)


@given(words=WORDS, at_once=st.integers(1, 6), order=st.randoms(use_true_random=False))
@example([word(1, **FULL), word(3, zip="01605"), word(2, zip="10001")], 1, None)
@IN_ONE_SESSION
def test_the_best_word_of_each_group_is_known_in_whatever_order_and_batches_they_come(
    session: Session, words: list[Word], at_once: int, order: Any
):
    shuffled = order.sample(words, len(words)) if order else words
    with session.begin_nested() as savepoint:
        for start in range(0, len(words), at_once):
            contacts.admit(session, shuffled[start : start + at_once], NOON)
        assert known(session, ROSA) == best(words)
        savepoint.rollback()


@given(mine=WORDS, others=WORDS)
@IN_ONE_SESSION
def test_a_merge_knows_what_one_person_would_have_told(session: Session, mine: list[Word], others: list[Word]):
    with session.begin_nested() as savepoint:
        contacts.admit(session, mine, NOON)
        contacts.admit(session, under(OLD, others), NOON)
        ids = contacts.known(session, [OLD, ROSA])
        react(session, merging.merge(session, ids[OLD], ids[ROSA], NOON), NOON, Settings())
        assert known(session, ROSA) == best([*mine, *others])
        savepoint.rollback()


def under(email: str, words: Sequence[Word]) -> list[Word]:
    return [
        (Person(**{name: getattr(one, name) for name in one.__slots__} | {"email": email}), at) for one, at in words
    ]
