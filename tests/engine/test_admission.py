"""Which batches of money go onto the books beside others, and which alone."""

from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from engine.events import Event, Person, SignUpReported
from engine.people import admission
from tests.engine.test_any_order import CHECKOUT, ENDED, FAILED, NOON, dispute, gift, plan, refund

ALONE, BESIDE, NOT_AT_ALL = "advisory_xact_lock(", "advisory_xact_lock_shared(", ""
ACTBLUE = {"source": "actblue", "source_key": "7", "payment_key": "AB7/7", "order_number": "AB7"}


def taken(session: Session, *told: Event) -> str:
    """The lock that admitting these takes."""
    said: list[str] = []

    def note(*what: Any) -> None:
        if what[3] == {"lock": admission.MONEY_LOCK}:
            said.append(what[2])

    connection = session.connection()
    event.listen(connection, "before_cursor_execute", note)
    admission.admit(session, told, NOON)
    event.remove(connection, "before_cursor_execute", note)
    return next((lock for lock in (ALONE, BESIDE) if said and lock in said[0]), NOT_AT_ALL)


@pytest.mark.parametrize("plain", [gift(), gift(2), gift(**ACTBLUE)])
def test_gifts_of_donors_they_name_go_beside_others(session: Session, plain: Event):
    assert taken(session, plain) == taken(session, plain, gift(3)) == BESIDE


@pytest.mark.parametrize(
    "told",
    [refund(1, 500), dispute("open"), plan(1), ENDED, FAILED, CHECKOUT, gift(donor=Person()), gift(plan_key="sub_1"),
     gift(source_key="in_1"), gift(source_key="in_1", payment_key="")],
)  # fmt: skip
def test_whatever_may_touch_somebody_elses_money_goes_alone(session: Session, told: Event):
    assert taken(session, told) == taken(session, gift(3), told) == ALONE


def test_sign_ups_wait_for_no_money(session: Session):
    person = Person(email="rosa@example.org")
    assert taken(session, SignUpReported(None, "signup", "1", "signup", person, NOON)) == NOT_AT_ALL
