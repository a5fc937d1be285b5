"""Sign-ups on record: each once, with its contact and its consents, in whatever order; and what a newer word outweighs."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count, permutations
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from engine import bell
from engine.bootstrap import Deps
from engine.db import transaction
from engine.events import Event, HumanNeeded, Joined, Person, SignedUp, SignUpReported, StepsDue
from engine.people import consent, sign_ups
from engine.reactions import react
from engine.settings import Settings
from tests.flows.house import put, rows
from tests.make import NOON, raw
from workers import intake

ROSA = "rosa@example.org"
IN_ONE_SESSION = settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
_numbers = count(1)


def sign_up(minutes: int = 0, email: str | None = ROSA, **changed: Any) -> SignUpReported:
    """A sign-up of Rosa's, so many minutes past noon."""
    told = {
        "cause": None, "source": "signup", "source_key": str(next(_numbers)), "kind": "signup",
        "person": Person(email=email, first_name="Rosa", zip="01605"), "at": NOON + timedelta(minutes=minutes),
    }  # fmt: skip
    return SignUpReported(**told | changed)


def record(session: Session, *reported: SignUpReported) -> list[Event]:
    """What followed from these sign-ups, and from those events."""
    return react(session, list(reported), NOON, Settings())[len(reported) :]


def found(session: Session, statement: str) -> Sequence[Any]:
    return session.execute(text(statement)).all()


SIGN_UPS = """
SELECT source, source_key, kind, c.email, s.person, s.at, place, tags, detail
FROM sign_up s LEFT JOIN contact c ON c.id = s.contact_id ORDER BY source, source_key
"""
CONSENTS = """
SELECT c.email, channel, given, at, source, place, wording
FROM consent w JOIN contact c ON c.id = w.contact_id ORDER BY 1, 2, 3, 4, 5
"""
CONTACTS = """
SELECT email, first_name, last_name, street, city, state, zip, country, phone, details_at, chapter_id
FROM contact ORDER BY email
"""


def words(session: Session) -> list[tuple[Any, ...]]:
    return [tuple(row)[1:5] for row in found(session, CONSENTS)]


def joined(session: Session, *reported: SignUpReported) -> int:
    """How many joined by these."""
    return sum(isinstance(each, Joined) for each in record(session, *reported))


def test_whose_yes_on_a_website_begins_to_hold_joins_once(session: Session):
    assert joined(session, sign_up(), sign_up(mail=False, email="bo@example.org")) == 0, "nobody said yes"
    assert joined(session, sign_up(1, mail=True), sign_up(2, mail=True)) == 1
    assert joined(session, sign_up(3, mail=True)) == 0, "she is on the list already"
    record(session, sign_up(4, mail=False))
    assert joined(session, sign_up(5, mail=True)) == 1, "she left and came back"


def test_who_is_told_of_late_or_by_a_system_of_others_or_has_left_since_does_not_join(session: Session):
    assert joined(session, sign_up(-60 * 24 * 30, mail=True)) == 0
    other = sign_up(mail=True, source="actionnetwork", kind="petition", email="bo@example.org")
    assert joined(session, other) == 0
    left = sign_up(9, mail=False, email="kim@example.org")
    assert joined(session, left, sign_up(mail=True, email="kim@example.org")) == 0


def test_a_sign_up_is_kept_with_its_contact_and_two_consents(session: Session):
    one = sign_up(mail=True, text=False, place="example.org/join", wording="Yes.", tags=("a", "b"), detail={"x": 1})
    signed_up = record(session, one)[0]
    assert isinstance(signed_up, SignedUp)
    (row,) = found(session, "SELECT * FROM sign_up")
    (contact,) = found(session, "SELECT * FROM contact")
    assert signed_up == SignedUp(None, row.id, contact.id)
    assert (contact.email, contact.zip, contact.routed_by) == (ROSA, "01605", "zip")
    assert (row.kind, row.contact_id, row.at, row.place, row.tags) == (
        "signup", contact.id, NOON, "example.org/join", ["a", "b"]
    )  # fmt: skip
    assert row.detail == {"x": 1, "mail": True, "text": False, "wording": "Yes."}
    assert (row.person["email"], row.person["first_name"]) == (ROSA, "Rosa")
    assert [tuple(word) for word in found(session, CONSENTS)] == [
        (ROSA, "mail", True, NOON, "signup", "example.org/join", "Yes."),
        (ROSA, "text", False, NOON, "signup", "example.org/join", "Yes."),
    ]


def test_nothing_stated_is_no_word_and_nobody_without_an_address_is_a_contact(session: Session):
    record(session, sign_up(), sign_up(email=None, mail=True))
    assert words(session) == []
    assert [row.email for row in found(session, SIGN_UPS)] == [ROSA, None]
    assert len(found(session, CONTACTS)) == 1


def test_a_sign_up_that_comes_again_changes_nothing(session: Session):
    one = sign_up(mail=True)
    assert [type(each) for each in record(session, one, one)] == [SignedUp, Joined, StepsDue]
    before = [found(session, query) for query in (SIGN_UPS, CONSENTS, CONTACTS)]
    assert record(session, one, replace(one, cause=None, place="elsewhere")) == []
    assert [found(session, query) for query in (SIGN_UPS, CONSENTS, CONTACTS)] == before


@pytest.mark.parametrize("changed", [{"mail": False}, {"text": True}, {"person": Person(email="other@example.org")}])
def test_a_key_that_comes_again_with_another_person_or_consent_makes_a_person_look(session: Session, changed: Any):
    one = sign_up(mail=True)
    record(session, one)
    (needed,) = record(session, replace(one, **changed))
    (row,) = found(session, "SELECT id FROM sign_up")
    assert isinstance(needed, HumanNeeded)
    assert (needed.kind, needed.subject) == (sign_ups.CONTRADICTION, f"sign-up {row.id}")
    withdrawn = [("mail", False, NOON, "signup")] if changed.get("mail") is False else []
    assert words(session) == [*withdrawn, ("mail", True, NOON, "signup")]


def test_the_same_key_of_another_source_is_another_sign_up(session: Session):
    one = sign_up()
    assert len(record(session, one, replace(one, source="actionnetwork"))) == 2


TOLD = st.lists(
    st.builds(
        sign_up, st.integers(0, 2), source=st.sampled_from(["signup", "actionnetwork"]),
        mail=st.sampled_from([None, True, False]), text=st.sampled_from([None, True, False]),
        place=st.sampled_from(["a", "b"]), wording=st.sampled_from(["", "Yes."]),
        person=st.builds(Person, email=st.sampled_from([ROSA, "sam@example.org", None]),
                         first_name=st.sampled_from(["Rosa", "R"]), zip=st.sampled_from([None, "01605", "01108"])),
    ),
    min_size=1, max_size=6,
)  # fmt: skip


def all_rows(session: Session, told: Sequence[SignUpReported], at_once: int) -> list[Any]:
    """All rows once these have come in this order, so many at a time; then all is forgotten."""
    with session.begin_nested() as savepoint:
        for at in range(0, len(told), at_once):
            record(session, *told[at : at + at_once])
        kept = [found(session, query) for query in (SIGN_UPS, CONSENTS, CONTACTS)]
        savepoint.rollback()
    return kept


@given(told=TOLD, order=st.randoms(use_true_random=False), at_once=st.integers(1, 6))
@IN_ONE_SESSION
def test_any_order_of_sign_ups_ends_in_the_same_rows(session: Session, told: list[Any], order: Any, at_once: int):
    shuffled = order.sample(told, len(told))
    again = [*shuffled, *told]
    known = all_rows(session, told, 1)
    assert all_rows(session, shuffled, at_once) == all_rows(session, again, at_once) == known


def current(session: Session) -> dict[str, bool]:
    return {row.channel: row.given for row in session.execute(text(consent.CURRENT))}


@pytest.mark.parametrize(
    ("told", "mail"),
    [([(0, True)], True), ([(0, True), (1, False)], False), ([(0, False), (1, True)], True), ([(0, True), (0, False)], False),
     ([(0, False), (2, False), (1, True)], False), ([(0, None), (1, True), (2, None)], True)],
)  # fmt: skip
def test_the_newest_word_counts_and_of_two_at_one_instant_the_withdrawal(session: Session, told: Any, mail: bool):
    for order in permutations(told):
        with session.begin_nested() as savepoint:
            record(session, *(sign_up(minutes, mail=word, text=not mail) for minutes, word in order))
            assert current(session) == {"mail": mail, "text": not mail}
            savepoint.rollback()


def test_the_two_channels_are_two_facts(session: Session):
    record(session, sign_up(0, mail=True, text=True), sign_up(1, mail=False), sign_up(2, source="actionnetwork"))
    assert current(session) == {"mail": False, "text": True}


def suppress(session: Session, reason: str, at: datetime = NOON, email: str = ROSA) -> None:
    query = text("INSERT INTO suppression (email, reason, at) VALUES (:email, :reason, :at)")
    session.execute(query, {"email": email, "reason": reason, "at": at})


def standing(session: Session) -> list[str]:
    return sorted(row.reason for row in session.execute(text(consent.STANDING_SUPPRESSIONS)))


@pytest.mark.parametrize("reason", ["bounce", "complaint", "invalid"])
def test_no_word_of_hers_lifts_what_others_found_out(session: Session, reason: str):
    suppress(session, reason)
    record(session, sign_up(9, mail=True))
    assert standing(session) == [reason]


YES, NO, LIST = {"mail": True}, {"mail": False}, {"mail": True, "source": "actionnetwork"}
LIFTED: list[tuple[str, list[tuple[int, Any]], bool]] = [
    ("she said yes after it", [(1, YES)], True),
    ("she said yes before it", [(-1, YES)], False),
    ("she said yes at the same instant", [(0, YES)], False),
    ("she signed up after it and said nothing of mail", [(1, {})], False),
    ("she allowed text messages only", [(1, {"text": True})], False),
    ("another system's list has her", [(1, LIST)], False),
    ("she said yes and then no", [(1, YES), (2, NO)], False),
    ("she said yes and no at once", [(1, YES), (1, NO)], False),
    ("she said no and then yes", [(1, NO), (2, YES)], True),
    ("she said yes, then no, then a list has her", [(1, YES), (2, NO), (3, LIST)], False),
    ("she said yes, then a list has her", [(1, YES), (2, LIST)], True),
    ("somebody else said yes", [(1, YES | {"person": Person(email="sam@example.org")})], False),
]


@pytest.mark.parametrize(("told", "lifted"), [case[1:] for case in LIFTED], ids=[case[0] for case in LIFTED])
def test_an_unsubscribe_stands_until_she_expressly_says_yes_again(session: Session, told: list[Any], lifted: bool):
    suppress(session, "unsubscribe")
    suppress(session, "bounce", email="nobody@example.org")
    record(session, *(sign_up(minutes, **said) for minutes, said in told))
    assert standing(session) == ["bounce"] + ["unsubscribe"] * (not lifted)
    assert len(found(session, "SELECT 1 FROM suppression")) == 2


def statements(session: Session, size: int) -> list[str]:
    said: list[str] = []

    def note(*told: Any) -> None:
        said.append(told[2])

    connection = session.connection()
    event.listen(connection, "before_cursor_execute", note)
    record(
        session,
        *(sign_up(n, f"rosa.{size}.{n % 50}@example.org" if n % 5 else None, mail=n % 2 == 0) for n in range(size)),
    )
    event.remove(connection, "before_cursor_execute", note)
    return said


def test_the_number_of_statements_does_not_grow_with_the_batch(session: Session):
    one, ten, many = (statements(session, size) for size in (3, 10, 200))
    assert one == ten == many
    assert len(one) < 24
    assert len(found(session, "SELECT 1 FROM sign_up")) == 213


def test_two_workers_at_once_keep_each_sign_up_once_and_never_meet_in_a_deadlock(deps: Deps):
    for n in range(300):
        body = {"email": f"rosa.{n % 7}@example.org", "id": str(n % 200), "status": "subscribed", "n": n}
        put(deps, raw(body | {"at": f"2025-03-02T10:{n % 60:02}:00Z"}), source="signup")

    def work() -> None:
        while rows(deps, "SELECT 1 FROM inbound_event WHERE state = 'pending' LIMIT 1"):
            intake.drain(deps, bell.INTAKE)

    with transaction(deps.sessions) as session:
        session.execute(text("UPDATE inbound_event SET attempts = 1 WHERE id % 3 = 0"))  # these come one by one
    with ThreadPoolExecutor(2) as pool:
        for worker in [pool.submit(work) for _ in range(2)]:
            worker.result(60)
    assert len(rows(deps, "SELECT 1 FROM sign_up")) == 200
    assert len(rows(deps, "SELECT 1 FROM contact")) == 7
    assert rows(deps, "SELECT DISTINCT state FROM inbound_event ORDER BY state") == [("applied",), ("ignored",)]
    assert rows(deps, "SELECT max(attempts) FROM inbound_event") == [(2,)]


def test_a_batch_that_fails_in_the_middle_leaves_nothing_and_is_recorded_whole_later(deps: Deps):
    for n, wording in enumerate(("Yes.", "poison", "Yes.")):
        told = {"email": f"rosa.{n}@example.org", "id": n, "status": "subscribed", "wording": wording}
        put(deps, raw(told), source="signup")
    with transaction(deps.sessions) as session:
        session.execute(text("ALTER TABLE consent ADD CONSTRAINT poison CHECK (wording <> 'poison')"))
    with pytest.raises(IntegrityError):
        intake.drain(deps, bell.INTAKE)
    assert rows(deps, "SELECT 1 FROM sign_up UNION ALL SELECT 1 FROM consent UNION ALL SELECT 1 FROM contact") == []
    with transaction(deps.sessions) as session:
        session.execute(text("ALTER TABLE consent DROP CONSTRAINT poison"))
        session.execute(text("UPDATE inbound_event SET due_at = now()"))
    intake.drain(deps, bell.INTAKE)
    assert rows(deps, "SELECT state, attempts FROM inbound_event") == [("applied", 2)] * 3
    assert rows(deps, "SELECT count(*) FROM sign_up") == rows(deps, "SELECT count(*) FROM consent") == [(3,)]
