"""`POST /webhooks/actionnetwork/{secret}`: an address that is its own secret, lists that are split, actions on record."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from engine import bell
from engine.bootstrap import Deps
from engine.db import transaction
from engine.settings import DEVELOPMENT_SECRET
from tests.asgi import Client
from tests.make import payload, raw
from webhooks.actionnetwork import BODY_LIMIT
from webhooks.app import build
from workers import intake

AT = "/webhooks/actionnetwork/"
URL = AT + DEVELOPMENT_SECRET
JSON = ("content-type", "application/json")
SECOND = "another-secret-another-secret-another"


def query(house: Deps, statement: str, **values: Any) -> list[Any]:
    with transaction(house.sessions) as session:
        return list(session.execute(text(statement), values).all())


def events(house: Deps, body: bytes) -> list[Any]:
    """The event of this body, then its parts in their order."""
    key = hashlib.sha256(body).hexdigest()
    statement = "SELECT * FROM inbound_event WHERE source = 'actionnetwork' AND split_part(key, ':', 1) = :key"
    found = query(house, statement, key=key)
    return sorted(found, key=lambda event: int(event.key.partition(":")[2] or -1))


def arrive(door: Client, house: Deps, body: bytes) -> list[Any]:
    """Post it twice and drain the inbox."""
    assert [door.send("POST", URL, (JSON,), body).status for _ in range(2)] == [200, 200]
    intake.drain(house, bell.INTAKE)
    intake.drain(house, bell.INTAKE)
    return events(house, body)


def signature(number: int, **person: Any) -> dict[str, Any]:
    """A signature as one element of a list."""
    action = {"created_date": "2025-03-02T08:00:00Z", "identifiers": [f"action_network:{number}"]}
    mail = [{"address": f"sam.{number}@example.org", "primary": True, "status": "subscribed"}]
    return {"osdi:signature": action | {"person": {"given_name": "Sam", "email_addresses": mail} | person}}


@pytest.fixture
def two_secrets(house: Deps) -> Iterator[Client]:
    both = {"actionnetwork_webhook_secrets": SecretStr(f"{SECOND},{SECOND[::-1]}")}
    with Client(build(replace(house, settings=house.settings.model_copy(update=both)))) as client:
        yield client


@pytest.mark.parametrize(
    ("secret", "status"),
    [
        (SECOND, 200),
        (SECOND[::-1], 200),
        (DEVELOPMENT_SECRET, 404),
        (SECOND + "x", 404),
        (f"{SECOND},{SECOND[::-1]}", 404),
    ],
)
def test_two_addresses_are_valid_at_once(two_secrets: Client, secret: str, status: int):
    assert two_secrets.send("POST", AT + secret, (JSON,), raw([signature(1)])).status == status


@pytest.mark.parametrize(
    "secret",
    ["wrong", DEVELOPMENT_SECRET.upper(), DEVELOPMENT_SECRET[:-1], "\ufffd", "%00", "x" * 9_000, "\u0661"],
    ids=lambda secret: ascii(secret)[:20],
)
@pytest.mark.parametrize(
    "headers", [(JSON,), (("content-type", "text/plain"),), (JSON, ("content-length", "99999999"))]
)
def test_a_wrong_address_is_answered_like_one_that_does_not_exist(door: Client, house: Deps, secret: str, headers: Any):
    body = raw([signature(2, family_name=secret[:99])])
    answer, nowhere = door.send("POST", AT + secret, headers, body), door.send("POST", "/nowhere", headers, body)
    assert (answer.status, answer.body, answer.headers) == (404, nowhere.body, nowhere.headers)
    assert events(house, body) == []


@pytest.mark.parametrize("path", [AT, AT.rstrip("/"), URL + "/more"])
def test_other_addresses_do_not_exist(door: Client, path: str):
    assert door.send("POST", path, (JSON,), b"[]").status == 404


def test_where_no_secret_is_configured_there_is_no_such_address(house: Deps):
    settings = house.settings.model_copy(update={"env": "production"})
    with Client(build(replace(house, settings=settings))) as door:
        assert door.send("POST", URL, (JSON,), b"[]").status == 404
        assert door.send("POST", AT + "None", (JSON,), b"[]").status == 404


def test_the_secret_stands_in_no_log_line_and_no_answer(door: Client, house: Deps, caplog, capfd):
    bad = raw([{"osdi:signature": "sam@example.org"}])
    requests = [
        ("POST", URL, bad),
        ("POST", URL, b"["),
        ("GET", URL, b""),
        ("POST", URL + "x", bad),
        ("POST", URL + "/", bad),
    ]
    with capture_logs(processors=[merge_contextvars]) as lines:
        answers = [door.send(method, path, (JSON,), body) for method, path, body in requests]
        intake.drain(house, bell.INTAKE)
        intake.drain(house, bell.INTAKE)
    assert [answer.status for answer in answers[:4]] == [200, 200, 405, 404]
    routes = [line["route"] for line in lines if line["event"] == "request"]
    assert routes[:4] == [AT + "{secret}"] * 4
    said = repr(lines) + caplog.text + "".join(capfd.readouterr()) + repr([answer.body for answer in answers])
    assert DEVELOPMENT_SECRET not in said
    assert "sam@example.org" not in said


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", "application/hal+json", ""])
def test_another_content_type_is_refused(door: Client, kind: str):
    assert door.send("POST", URL, (("content-type", kind),), b"[]").status == 415


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_refused(door: Client, method: str):
    assert door.send(method, URL, (JSON,)).status == 405


def test_a_body_may_have_a_megabyte_and_no_byte_more(door: Client, house: Deps):
    largest = raw([signature(3)]).ljust(BODY_LIMIT)
    assert door.send("POST", URL, (JSON,), largest).status == 200
    assert door.send("POST", URL, (JSON,), largest + b" ").status == 413
    assert events(house, largest + b" ") == []
    assert len(events(house, largest)) == 1
    intake.drain(house, bell.INTAKE)


def test_a_list_of_every_kind_becomes_a_sign_up_each(door: Client, house: Deps):
    whole, *parts = arrive(door, house, payload("signup/actions.json"))
    assert (whole.state, whole.reason, bytes(whole.body)) == ("split", "7 parts", b"")
    assert [(part.kind, part.state, part.reason) for part in parts] == [("part", "applied", "sign-up")] * 7
    ids = [part.id for part in parts]
    found = query(
        house,
        "SELECT s.kind, c.email, c.state, s.person ->> 'phone', s.detail ->> 'amount' FROM sign_up s"
        " LEFT JOIN contact c ON c.id = s.contact_id WHERE s.inbound_event_id = ANY(:ids)"
        " ORDER BY array_position(CAST(:ids AS bigint[]), s.inbound_event_id), s.source_key",
        ids=ids,
    )
    assert found == [
        ("submission", "rosa@example.org", "MA", "15085550123", None),
        ("signature", "sam@example.org", "MA", "", None),
        ("attendance", None, None, "4135550101", None),
        ("donation", None, None, "", "100.00"),
        ("outreach", None, None, "", None),
        ("action", "lee@example.org", "", "", None),
        ("upload", "kim@example.org", "", "", None),
        ("upload", "lou@example.org", "", "", None),
    ]
    words = query(
        house,
        "SELECT c.email, channel, given FROM consent w JOIN contact c ON c.id = w.contact_id"
        " WHERE w.inbound_event_id = ANY(:ids) ORDER BY 1, 2",
        ids=ids,
    )
    assert words == [
        ("kim@example.org", "mail", True), ("lou@example.org", "mail", False), ("rosa@example.org", "mail", True),
        ("rosa@example.org", "text", False), ("sam@example.org", "mail", False),
    ]  # fmt: skip
    assert query(house, "SELECT count(*) FROM contribution") == [(0,)]


def test_the_same_actions_in_another_list_change_nothing(door: Client, house: Deps):
    arrive(door, house, payload("signup/actions.json"))
    before = query(house, "SELECT (SELECT count(*) FROM sign_up), (SELECT count(*) FROM consent)")
    elements = json.loads(payload("signup/actions.json"))[:6]
    _, *parts = arrive(door, house, raw(elements[::-1]))
    assert [(part.state, part.reason) for part in parts] == [("ignored", "told before")] * 6
    assert query(house, "SELECT (SELECT count(*) FROM sign_up), (SELECT count(*) FROM consent)") == before


def test_one_bad_element_stays_alone(door: Client, house: Deps):
    good = [json.dumps(signature(number)) for number in (10, 11)]
    bad = ["17", '{"osdi:rsvp": {}}', '{"osdi:signature": {"a": 1, "a": 2}}', "[" * 99 + "]" * 99, "{}", "NaN"]
    _, *parts = arrive(door, house, "[{}]".format(",".join([good[0], *bad, good[1]])).encode())
    assert [part.state for part in parts] == ["applied", *["quarantined"] * len(bad), "applied"]


def test_an_action_alone_is_taken_without_a_list(door: Client, house: Deps):
    (event,) = arrive(door, house, raw(signature(12)))
    assert (event.state, event.reason) == ("applied", "sign-up")


UNREADABLE = {
    "nothing": (b"", "quarantined", "not valid JSON"),
    "NUL": (b"\x00", "quarantined", "not valid JSON"),
    "half a list": (b'[{"osdi:signature": {}}', "quarantined", "not valid JSON"),
    "Latin-1": (b'["In\xe9s"]', "quarantined", "not UTF-8"),
    "60,000 brackets": (b"[" * 60_000 + b"]" * 60_000, "quarantined", "nested too deeply"),
    "a number": (b"17", "quarantined", "not understood: body"),
    "an empty list": (b"[]", "ignored", "an empty list"),
    "a page": (b"<!doctype html>", "quarantined", "not valid JSON"),
}


@pytest.mark.parametrize(("body", "state", "reason"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_no_list_is_answered_200_and_kept_whole(
    door: Client, house: Deps, body: bytes, state: str, reason: str
):
    (event,) = arrive(door, house, body)
    assert (event.state, event.reason, bytes(event.body)) == (state, reason, body)
