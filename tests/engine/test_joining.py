"""What becomes of a yes on a form of ours, as a rule; and that many take as many statements as a few."""

from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from engine.errors import Conflict, NotFound
from engine.events import ConfirmationAsked, Event, Joined, Person, SignUpReported, Wishes
from engine.people import catalogues, confirmations
from engine.people.catalogue_files import understood
from engine.people.joining import course
from engine.people.standing import NEVER, Standing, standings
from engine.reactions import react
from engine.settings import Settings
from engine.tokens import Signer
from tests.make import NOON

INES = "ines@example.org"
BEFORE, AFTER = NOON - timedelta(hours=1), NOON + timedelta(hours=1)
_numbers = count(1)


def reported(email: str = INES, minutes: float = 0, **wishes: Any) -> SignUpReported:
    at = NOON + timedelta(minutes=minutes)
    person = Person(email=email, first_name="Ines", last_name="Okafor", zip="01605")
    told = Wishes(**{"form": "join", "interests": ("rent",), "ways_to_help": ("doors",), "introduce": True} | wishes)
    return SignUpReported(
        None, "join", str(next(_numbers)), "signup", person, at, mail=True, place=told.form, wording="Yes.", wishes=told
    )


def come(session: Session, *sign_ups: SignUpReported, hours: float = 0) -> list[Event]:
    return react(session, list(sign_ups), NOON + timedelta(hours=hours), Settings())


def asked(events: list[Event]) -> list[int]:
    return [each.confirmation_id for each in events if isinstance(each, ConfirmationAsked)]


@pytest.mark.parametrize(
    ("confirm", "standing", "what"),
    [(False, Standing(), "counts"), (False, Standing(listed=True), "counts"), (True, Standing(), "ask"),
     (True, Standing(listed=True), "ask"),
     (False, Standing(suppressed=frozenset({"unsubscribe"}), refused_at=BEFORE), "ask"),
     (False, Standing(suppressed=frozenset({"erased"}), refused_at=BEFORE), "ask"),
     (False, Standing(refused_at=BEFORE), "ask"), (False, Standing(refused_at=AFTER), "keep"),
     (True, Standing(refused_at=AFTER), "keep"),
     (False, Standing(suppressed=frozenset({"bounce"})), "counts"),
     (False, Standing(suppressed=frozenset({"complaint"}), refused_at=BEFORE), "keep"),
     (False, Standing(suppressed=frozenset({"manual"}), refused_at=BEFORE), "keep"),
     (False, Standing(suppressed=frozenset({"bounce", "unsubscribe"}), refused_at=BEFORE), "keep"),
     *((True, Standing(suppressed=frozenset({reason})), "keep") for reason in sorted(NEVER))],
)  # fmt: skip
def test_what_a_yes_comes_to(confirm: bool, standing: Standing, what: str):
    assert course(NOON, standing, confirm=confirm) == what


def test_an_erased_address_is_known_by_its_hash_under_any_key_and_asked_first(session: Session):
    signer = Signer(["an old key of these tests"])
    session.execute(
        text("INSERT INTO erased_address (hash, reason, at) VALUES (:hash, 'erased', :at)"),
        {"hash": signer.hashes(INES)[-1], "at": BEFORE},
    )
    house = Settings(retired_secret_keys="an old key of these tests")
    (one,) = asked(react(session, [reported()], NOON, house))
    confirmations.confirm(session, one, NOON + timedelta(hours=1))
    contact = session.execute(text("SELECT id FROM contact")).scalar_one()
    assert standings(session, [contact], house)[contact].listed


def test_a_known_answer_changes_nothing_the_second_time(session: Session):
    (one,) = asked(come(session, reported(confirm=True)))
    first = confirmations.confirm(session, one, NOON + timedelta(hours=1))
    assert [type(each) for each in first if isinstance(each, Joined)] == [Joined]
    assert confirmations.confirm(session, one, NOON + timedelta(hours=2)) == []
    assert confirmations.confirm(session, one, NOON + timedelta(days=20)) == []
    assert session.execute(text("SELECT count(*) FROM consent")).scalar_one() == 1


def test_a_letter_can_be_answered_for_seven_days(session: Session):
    (one,) = asked(come(session, reported(confirm=True)))
    for moment, state in ((timedelta(days=6.99), "open"), (timedelta(days=7), "expired")):
        found = confirmations.find(session, one, NOON + moment)
        assert found is not None
        assert found.state == state
    with pytest.raises(Conflict, match="expired"):
        confirmations.confirm(session, one, NOON + timedelta(days=7))
    assert session.execute(text("SELECT count(*) FROM consent")).scalar_one() == 0


def test_there_is_no_confirmation_of_an_unknown_number_or_of_somebody_erased(session: Session):
    assert confirmations.find(session, 0, NOON) is None
    with pytest.raises(NotFound):
        confirmations.confirm(session, 0, NOON)
    (one,) = asked(come(session, reported(confirm=True)))
    session.execute(text("UPDATE contact SET email = NULL, erased_at = now()"))
    assert confirmations.find(session, one, NOON) is None
    with pytest.raises(NotFound):
        confirmations.confirm(session, one, NOON)


def test_who_left_since_the_question_comes_back_only_by_her_express_word(session: Session):
    (one,) = asked(come(session, reported(confirm=True)))
    for statement in (
        "INSERT INTO suppression (email, reason, at) VALUES (:email, 'unsubscribe', :at)",
        """INSERT INTO consent (contact_id, channel, given, at, source)
        SELECT id, 'mail', false, :at, 'unsubscribe' FROM contact WHERE email = :email""",
    ):
        session.execute(text(statement), {"email": INES, "at": AFTER})
    found = confirmations.find(session, one, AFTER)
    assert found is not None
    assert (found.state, found.left_since) == ("open", True)
    with pytest.raises(Conflict, match="expressly"):
        confirmations.confirm(session, one, AFTER)
    (contact,) = {each.contact_id for each in confirmations.confirm(session, one, AFTER, expressly=True)
                  if isinstance(each, Joined)}  # fmt: skip
    assert standings(session, [contact], Settings())[contact].listed
    found = confirmations.find(session, one, AFTER)
    assert found is not None
    assert (found.state, found.left_since) == ("confirmed", False)


def test_what_was_typed_under_an_address_that_was_merged_is_said_of_whom_she_is_now(session: Session):
    (one,) = asked(come(session, reported(confirm=True)))
    session.execute(
        text("""WITH ana AS (
        INSERT INTO contact (email, details_at) VALUES ('ana@example.org', 'epoch') RETURNING id)
    UPDATE contact c SET merged_into_id = ana.id FROM ana WHERE c.email = 'ines@example.org'""")
    )
    (joined,) = (each for each in confirmations.confirm(session, one, AFTER) if isinstance(each, Joined))
    found = session.execute(text("SELECT id, email, first_name FROM contact ORDER BY email")).all()
    assert [tuple(row)[1:] for row in found] == [("ana@example.org", "Ines"), (INES, "")]
    assert joined.contact_id == found[0].id


def statements(session: Session, many: int, **wishes: Any) -> int:
    told: list[object] = []

    def note(*what: Any) -> None:
        told.append(what)

    people = [reported(f"p{next(_numbers)}@example.org", **wishes) for _ in range(many)]
    connection = session.connection()
    event.listen(connection, "before_cursor_execute", note)
    come(session, *people)
    event.remove(connection, "before_cursor_execute", note)
    return len(told)


@pytest.mark.parametrize("confirm", [True, False])
def test_many_take_as_many_statements_as_a_few(session: Session, confirm: bool):
    way = {"code": "doors", "name": "Doors"}
    cause = {"code": "homes", "name": "Homes", "interests": [{"code": "rent", "name": "Rent"}]}
    catalogues.bring_in(session, understood({"agendas": [cause], "ways_to_help": [way]}))
    statements(session, 2, confirm=confirm)
    assert statements(session, 40, confirm=confirm) == statements(session, 3, confirm=confirm)
