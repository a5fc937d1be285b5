"""How long raw bodies are kept, and what happens when one id comes with two bodies."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine import inbox, sources
from engine.tables import InboundEvent
from tests.make import arrived, raw


def stored(session: Session, key: str, *, state: str = "applied", days: int = 91, body: bytes = b"{}") -> int:
    insert = text(
        "INSERT INTO inbound_event (source, key, lane, body, state, received_at)"
        " VALUES ('actblue', :key, 'intake', :body, :state, now() - make_interval(days => :days)) RETURNING id"
    )
    return session.execute(insert, {"key": key, "body": body, "state": state, "days": days}).scalar_one()


def bodies(session: Session) -> dict[str, bytes]:
    return {row.key: row.body for row in session.execute(text("SELECT key, body FROM inbound_event"))}


def empty_all(session: Session) -> int:
    emptied, more = 0, True
    while more:
        some, more = inbox.empty_old(session, 90)
        emptied += some
    return emptied


def test_bodies_are_emptied_after_their_time_and_never_before(session: Session):
    stored(session, "old")
    stored(session, "ignored", state="ignored")
    stored(session, "young", days=89)
    assert empty_all(session) == 2
    assert bodies(session) == {"old": b"", "ignored": b"", "young": b"{}"}
    assert empty_all(session) == 0


@pytest.mark.parametrize("state", ["pending", "quarantined"])
def test_what_is_not_done_with_keeps_its_body(session: Session, state: str):
    stored(session, "waits", state=state)
    stored(session, "later")
    assert empty_all(session) == 1
    assert bodies(session)["waits"] == b"{}"


def test_an_event_that_was_replayed_late_is_emptied_after_all(session: Session):
    late = stored(session, "late", state="quarantined")
    stored(session, "other")
    assert empty_all(session) == 1
    inbox.replay(session, [late])
    session.get_one(InboundEvent, late).state = "applied"
    session.flush()
    assert empty_all(session) == 1
    assert bodies(session) == {"late": b"", "other": b""}


def test_more_than_a_stretch_is_emptied_in_several(session: Session):
    session.execute(
        text(
            "INSERT INTO inbound_event (source, key, lane, body, state, received_at) SELECT 'actblue', n::text, 'intake',"
            " 'x', 'applied', now() - interval '100 days' FROM generate_series(1, :many) n"
        ),
        {"many": inbox.STRETCH + 1},
    )
    assert empty_all(session) == inbox.STRETCH + 1


REFUND = {"id": "re_1", "object": "refund", "amount": 500, "charge": "ch_1", "created": 1793620800, "currency": "usd",
          "payment_intent": "pi_1", "status": "succeeded"}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        ({"pending_webhooks": 2}, True),
        ({"request": {"id": "req_2"}, "api_version": "2020-08-27"}, True),
        ({"data": {"object": REFUND | {"destination_details": {"type": "card"}}}}, True),
        ({"data": {"object": REFUND | {"amount": 501}}}, False),
        ({"data": {"object": REFUND | {"id": "re_2"}}}, False),
        ({"data": {"object": REFUND | {"status": "failed"}}}, False),
        ({"data": {"object": REFUND | {"amount": "a lot"}}}, False),
        ({"type": "payout.paid"}, False),
    ],
)
def test_two_bodies_under_one_id_are_the_same_when_they_tell_the_same_money(changed: Any, same: bool):
    event = {"id": "evt_1", "object": "event", "type": "refund.created", "created": 1793620801, "pending_webhooks": 1,
             "data": {"object": REFUND}}  # fmt: skip
    again = arrived(event | changed, source="stripe", kind=inbox.AGAIN)
    assert sources.same(again, raw(event)) is same


def test_two_bodies_that_tell_no_money_are_the_same_when_only_their_delivery_differs():
    event = {"id": "evt_1", "object": "event", "type": "payout.paid", "created": 1793620801, "data": {"object": {}}}
    for changed, same in (({"pending_webhooks": 2}, True), ({"created": 1793620802}, False)):
        assert sources.same(arrived(event | changed, source="stripe", kind=inbox.AGAIN), raw(event)) is same


def test_an_event_that_nobody_can_read_is_the_same_when_only_its_delivery_differs():
    thin = {"id": "evt_1", "object": "v2.core.event", "type": "v1.charge.refunded", "pending_webhooks": 1}
    for changed, same in (({"pending_webhooks": 2}, True), ({"type": "v1.charge.failed"}, False)):
        assert sources.same(arrived(thin | changed, source="stripe", kind=inbox.AGAIN), raw(thin)) is same
    assert not sources.same(arrived(thin, source="stripe", kind=inbox.AGAIN), b"\xff")
