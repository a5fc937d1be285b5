"""ActBlue's other URLs: the kind is kept with the bytes, the credentials and limits are the same, nothing is repeated."""

from typing import Any

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from engine import bell
from engine.bootstrap import Deps
from engine.db import transaction
from tests.asgi import Client
from tests.make import actblue_body, basic, line_item, payload, raw
from webhooks.actblue import BODY_LIMIT
from workers import intake

JSON = ("content-type", "application/json")
KINDS = {
    "/webhooks/actblue": "",
    "/webhooks/actblue/contributions": "contribution",
    "/webhooks/actblue/refunds": "refund",
    "/webhooks/actblue/cancellations": "cancellation",
}
# What may never be in a log, an answer or a reason: people, links with tokens, the card.
TELLING = (
    "rosa",
    "delgado",
    "lincoln",
    "example.org",
    "5085550123",
    "librarian",
    "secret-token",
    "02/2029",
    "thanks/",
    "retry",
)
AT = "2026-11-09T10:00:00-05:00"


def query(house: Deps, statement: str, **values: Any) -> list[Any]:
    with transaction(house.sessions) as session:
        return list(session.execute(text(statement), values).all())


def event(house: Deps, body: bytes) -> Any:
    return query(house, "SELECT * FROM inbound_event WHERE body = :body ORDER BY id", body=body)[-1]


def arrive(door: Client, house: Deps, url: str, body: bytes) -> Any:
    """Post it, drain the inbox, see that nobody repeats what it said. Returns its row in the inbox."""
    with capture_logs() as lines:
        answer = door.send("POST", url, (basic(), JSON), body)
        intake.drain(house, bell.INTAKE)
    assert (answer.status, answer.body) == (200, b'{"status":"stored"}')
    found = event(house, body)
    notices = query(house, "SELECT * FROM notice WHERE subject = :subject", subject=f"inbound event {found.id}")
    said = repr((lines, answer, found.reason, notices)).lower()
    assert [word for word in TELLING if word in said] == []
    return found


@pytest.mark.parametrize("url", KINDS)
@pytest.mark.parametrize(
    "change",
    [{"refundedAt": AT}, {"refundedAt": AT, "retryUrl": "https://example.org/retry?secret-token"}, {"cancelledAt": AT},
     {"refundedAt": "secret-token"}, {"cancelledAt": "rosa"}, {"cancelledAt": AT, "orderNumber": "secret-token" * 9}],
)  # fmt: skip
def test_a_refund_or_a_cancellation_is_no_gift_at_any_url_and_nothing_of_it_is_repeated(
    door: Client, house: Deps, url: str, change: dict[str, str]
):
    body = raw(actblue_body(contribution=change))
    found = arrive(door, house, url, body)
    assert (found.kind, bytes(found.body)) == (KINDS[url], body)
    assert found.state in ("applied", "ignored", "quarantined")
    assert (found.state == "quarantined") == (
        AT not in change.values() or (len(change) > 1 and "orderNumber" in change)
    )
    assert query(house, "SELECT id FROM contribution WHERE inbound_event_id = :id", id=found.id) == []


@pytest.mark.parametrize(
    "name",
    ["refund", "refund_negative", "refund_of_a_part", "cancellation", "cancellation_lapsed", "cancellation_other"],
)
def test_every_published_shape_of_a_refund_and_a_cancellation_is_understood(door: Client, house: Deps, name: str):
    found = arrive(door, house, "/webhooks/actblue", payload(f"actblue/{name}.json"))
    assert found.state in ("applied", "ignored")
    assert query(house, "SELECT id FROM contribution WHERE inbound_event_id = :id", id=found.id) == []


@pytest.mark.parametrize(
    ("name", "cents"), [("weekly_with_sunset", 500), ("third_instalment", 3000), ("paypal", 1800), ("declined", None)]
)
def test_every_kind_of_gift_is_booked_at_its_own_url(door: Client, house: Deps, name: str, cents: int | None):
    found = arrive(door, house, "/webhooks/actblue/contributions", payload(f"actblue/{name}.json"))
    gifts = query(house, "SELECT amount_cents FROM contribution WHERE inbound_event_id = :id", id=found.id)
    assert [gift.amount_cents for gift in gifts] == ([] if cents is None else [cents])
    assert found.state == ("applied" if cents else "ignored")


@pytest.mark.parametrize("url", ["/webhooks/actblue/refunds", "/webhooks/actblue/cancellations"])
def test_a_gift_at_the_url_of_another_kind_is_put_aside_and_not_booked(door: Client, house: Deps, url: str):
    found = arrive(door, house, url, raw(actblue_body()))
    assert found.state == "quarantined"
    assert found.reason.startswith(f"a {KINDS[url]} that does not say when")
    assert query(house, "SELECT id FROM contribution WHERE inbound_event_id = :id", id=found.id) == []


def test_a_gift_that_was_sent_to_the_wrong_url_can_be_sent_to_the_right_one(door: Client, house: Deps):
    body = raw(actblue_body())
    assert arrive(door, house, "/webhooks/actblue/refunds", body).state == "quarantined"
    found = arrive(door, house, "/webhooks/actblue/contributions", body)
    assert (found.state, found.reason) == ("applied", "gift")


@pytest.mark.parametrize("url", KINDS)
def test_every_url_wants_the_credentials_and_keeps_the_limits(door: Client, house: Deps, url: str):
    body = raw(actblue_body(lineitems=[line_item(refundedAt=AT)]))
    before = query(house, "SELECT count(*) FROM inbound_event")
    assert door.send("POST", url, (JSON,), body).status == 401
    assert door.send("POST", url, (basic("actblue:wrong"), JSON), body).status == 401
    assert door.send("POST", url, (basic(), ("content-type", "text/xml")), body).status == 415
    assert door.send("POST", url, (basic(), JSON), b" " * (BODY_LIMIT + 1)).status == 413
    assert door.send("GET", url, (basic(),)).status == 405
    assert query(house, "SELECT count(*) FROM inbound_event") == before
