"""`POST /webhooks/signup`: who may come in, in what form, and what became of it."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from structlog.testing import capture_logs

from engine import bell, inbox
from engine.bootstrap import Deps
from engine.db import transaction
from engine.settings import DEVELOPMENT_SECRET, ROOT
from tests.asgi import Answer, Client, Headers
from tests.make import basic, payload, raw
from webhooks.app import build
from webhooks.signup import BODY_LIMIT
from workers import intake

URL = "/webhooks/signup"
JSON = ("content-type", "application/json")
BEARER = ("authorization", f"Bearer {DEVELOPMENT_SECRET}")
HEADERS = (BEARER, JSON)
TELLING = ("ines", "okafor", "elm park", "example.org", "5555", "0142", "amara", "lindqvist", DEVELOPMENT_SECRET)


def query(house: Deps, statement: str, **values: Any) -> list[Any]:
    with transaction(house.sessions) as session:
        return list(session.execute(text(statement), values).all())


def stored(house: Deps, body: bytes) -> list[Any]:
    key = hashlib.sha256(body).hexdigest()
    return query(house, "SELECT * FROM inbound_event WHERE source = 'signup' AND key = :key", key=key)


def refused(answer: Answer, status: int) -> None:
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    assert set(json.loads(answer.body)) == {"type", "title", "status"}


def arrive(door: Client, house: Deps, body: bytes, headers: Headers = HEADERS) -> Any:
    """Post it twice, drain the inbox, see to it that nobody repeated what it said; returns its event."""
    with capture_logs() as lines:
        answers = [door.send("POST", URL, headers, body) for _ in range(2)]
        intake.drain(house, bell.INTAKE)
    assert [(answer.status, answer.body) for answer in answers] == [(200, b'{"status":"stored"}')] * 2
    (event,) = stored(house, body)
    said = repr((lines, answers, event.reason)).lower()
    assert [word for word in TELLING if word in said] == []
    return event


def fresh(**changed: Any) -> bytes:
    """A body of its own."""
    fresh.number = getattr(fresh, "number", 0) + 1
    return raw({"email": f"ines.{fresh.number}@example.org", "status": "subscribed"} | changed)


WRONG = {
    "nothing": (),
    "an empty header": (("authorization", ""),),
    "a scheme alone": (("authorization", "Bearer"),),
    "another token": (("authorization", "Bearer wrong"),),
    "more behind it": (("authorization", BEARER[1] + "x"),),
    "another case": (("authorization", "Bearer " + DEVELOPMENT_SECRET.upper()),),
    "as a password": (basic(f"signup:{DEVELOPMENT_SECRET}"),),
    "under basic": (("authorization", f"Basic {DEVELOPMENT_SECRET}"),),
    "no ASCII": (("authorization", b"Bearer \xe9\xff"),),
    "ten kilobytes": (("authorization", "Bearer " + "x" * 10_240),),
    "the wrong one in the other header": (("osdi-api-token", "wrong"),),
    "an empty one in the other header": (("osdi-api-token", ""),),
    "a wrong bearer beside the right one": (("authorization", "Bearer wrong"), ("osdi-api-token", DEVELOPMENT_SECRET)),
}


@pytest.mark.parametrize("headers", WRONG.values(), ids=WRONG)
def test_without_a_token_nothing_is_stored_and_the_sender_is_told_which_kind_is_asked_for(door, house, headers):
    body = fresh()
    answer = door.send("POST", URL, (*headers, JSON), body)
    refused(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert stored(house, body) == []


@pytest.mark.parametrize(
    "headers",
    [BEARER, ("authorization", f"bearer  {DEVELOPMENT_SECRET} "), ("osdi-api-token", DEVELOPMENT_SECRET)],
    ids=["bearer", "small letters", "OSDI"],
)
@pytest.mark.parametrize("kind", ["application/json", "application/hal+json", "Application/HAL+JSON; charset=utf-8"])
def test_either_header_and_either_type_is_taken(door: Client, house: Deps, headers: tuple[str, str], kind: str):
    body = fresh()
    assert door.send("POST", URL, (headers, ("content-type", kind)), body).status == 200
    assert [bytes(event.body) for event in stored(house, body)] == [body]


def house_with(house: Deps, **changed: Any) -> Deps:
    return replace(house, settings=house.settings.model_copy(update=changed))


@pytest.fixture
def two_tokens(house: Deps) -> Iterator[Client]:
    both = SecretStr("first-token, s\u00e9cond-token")
    with Client(build(house_with(house, signup_webhook_tokens=both))) as client:
        yield client


@pytest.mark.parametrize(
    ("token", "status"),
    [
        ("first-token", 200),
        ("s\u00e9cond-token", 200),
        (DEVELOPMENT_SECRET, 401),
        ("first-token, s\u00e9cond-token", 401),
    ],
)
def test_two_tokens_are_valid_at_once(two_tokens: Client, token: str, status: int):
    header = ("authorization", b"Bearer " + token.encode())
    assert two_tokens.send("POST", URL, (header, JSON), fresh()).status == status


@pytest.mark.parametrize("headers", [(), (BEARER,), (("authorization", "Bearer "),), (("osdi-api-token", ""),)])
def test_where_no_token_is_configured_nobody_comes_in(house: Deps, headers: Any):
    with Client(build(house_with(house, env="production"))) as door:
        refused(door.send("POST", URL, (*headers, JSON), fresh()), 401)


@pytest.mark.parametrize(
    "kind",
    ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", "application/xml", ""],
)
def test_another_content_type_is_refused(door: Client, house: Deps, kind: str):
    body = fresh()
    refused(door.send("POST", URL, (BEARER, ("content-type", kind)), body), 415)
    assert stored(house, body) == []


def test_no_body_is_decompressed(door: Client):
    refused(door.send("POST", URL, (*HEADERS, ("content-encoding", "gzip")), fresh()), 415)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_refused(door: Client, method: str):
    refused(door.send(method, URL, HEADERS), 405)


def test_a_body_may_have_64_kilobytes_and_no_byte_more(door: Client, house: Deps):
    largest = fresh().ljust(BODY_LIMIT)
    assert door.send("POST", URL, HEADERS, largest).status == 200
    refused(door.send("POST", URL, HEADERS, largest + b" "), 413)
    refused(door.send("POST", URL, (*HEADERS, ("content-length", str(BODY_LIMIT + 1))), largest), 413)
    assert len(stored(house, largest)) == 1
    assert stored(house, largest + b" ") == []


def test_our_own_shape_becomes_a_sign_up_a_contact_and_two_consents(door: Client, house: Deps):
    event = arrive(door, house, payload("signup/own.json"))
    assert (event.state, event.reason) == ("applied", "sign-up")
    (row,) = query(house, "SELECT * FROM sign_up WHERE inbound_event_id = :id", id=event.id)
    (contact,) = query(
        house,
        "SELECT c.*, h.slug FROM contact c JOIN chapter h ON h.id = c.chapter_id WHERE c.id = :id",
        id=row.contact_id,
    )
    assert (row.source_key, row.kind, row.tags) == ("website-20417", "signup", ["newsletter", "volunteer"])
    assert (contact.email, contact.first_name, contact.state, contact.zip, contact.slug) == (
        "ines.okafor@example.org", "Ines", "MA", "01605", "worcester"
    )  # fmt: skip
    words = query(house, "SELECT * FROM consent WHERE contact_id = :id ORDER BY channel", id=contact.id)
    assert [(word.channel, word.given, word.at.isoformat(), word.place, word.inbound_event_id) for word in words] == [
        ("mail", True, "2025-03-02T14:15:00+00:00", "https://www.example.org/join", event.id),
        ("text", False, "2025-03-02T14:15:00+00:00", "https://www.example.org/join", event.id),
    ]


def test_the_sign_up_that_the_readme_posts_is_understood(door: Client, house: Deps):
    told = re.search(r"/webhooks/signup -d '(\{.*?\})'", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert told is not None
    assert arrive(door, house, told[1].encode()).reason == "sign-up"


def test_the_same_sign_up_in_another_body_is_stored_and_ignored(door: Client, house: Deps):
    arrive(door, house, payload("signup/own.json"))
    again = arrive(door, house, payload("signup/own.json") + b" ")
    assert (again.state, again.reason) == ("ignored", "told before")


def test_the_helper_becomes_a_sign_up_told_when_it_came(door: Client, house: Deps):
    headers = (("osdi-api-token", DEVELOPMENT_SECRET), ("content-type", "application/hal+json"))
    event = arrive(door, house, payload("signup/helper.json"), headers)
    (row,) = query(house, "SELECT * FROM sign_up WHERE inbound_event_id = :id", id=event.id)
    words = query(house, "SELECT channel, given, at FROM consent WHERE contact_id = :id ORDER BY 1", id=row.contact_id)
    assert row.at == event.received_at
    assert words == [("mail", True, event.received_at), ("text", True, event.received_at)]


def test_who_has_no_address_is_on_record_without_a_contact(door: Client, house: Deps):
    event = arrive(door, house, raw({"phone": "5085550142", "text_status": "subscribed"}))
    (row,) = query(house, "SELECT contact_id, person, detail FROM sign_up WHERE inbound_event_id = :id", id=event.id)
    assert (row.contact_id, row.person["phone"], row.detail) == (None, "5085550142", {"text": True})


GOOD = raw({"email": "ines@example.org"})
UNREADABLE = {
    "nothing": (b"", "not valid JSON"),
    "words": (b"not json", "not valid JSON"),
    "NUL": (b"\x00", "not valid JSON"),
    "a form": (b"email=ines", "not valid JSON"),
    "Latin-1": (b'{"email": "In\xe9s"}', "not UTF-8"),
    "UTF-16": (GOOD.decode().encode("utf-16"), "not UTF-8"),
    "more behind": (GOOD + b"{}", "not valid JSON"),
    "NaN": (b'{"email": NaN}', "NaN is not a number"),
    "five thousand digits": (b'{"phone": ' + b"1" * 5000 + b"}", "not valid JSON"),
    "a list": (b"[" + GOOD + b"]", "not understood: body"),
    "null": (b"null", "not understood: body"),
    "a string": (b'"ines@example.org"', "not understood: body"),
    "an empty object": (b"{}", "not understood: neither an email nor a phone"),
    "a key twice": (b'{"email": "a@example.org", "email": "b@example.org"}', "ambiguous: a key stands twice"),
    "60,000 brackets": (b"[" * 30_000 + b"]" * 30_000, "nested too deeply"),
    "60,000 opening brackets": (b"[" * 60_000, "nested too deeply"),
    "a hundred levels in a corner": (
        b'{"email": "ines@example.org", "x": ' + b'{"a":' * 100 + b"1" + b"}" * 101,
        "nested too deeply",
    ),
    "an unknown status": (raw({"email": "ines@example.org", "status": "maybe"}), "not understood: status"),
    "a time without offset": (raw({"email": "ines@example.org", "at": "2025-01-01T00:00:00"}), "not understood: at"),
}


@pytest.mark.parametrize(("body", "reason"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_understood_is_answered_200_kept_and_a_person_is_told(door, house, body: bytes, reason: str):
    event = arrive(door, house, body)
    assert (event.state, event.reason, bytes(event.body)) == ("quarantined", reason, body)
    notices = query(house, "SELECT detail FROM notice WHERE subject = :subject", subject=inbox.name(event.id))
    assert notices == [(f"from signup: {reason}",)]


OURS = ("first_name", "last_name", "phone", "street", "city", "state", "zip", "country", "place", "wording", "tags")
THEIRS = (
    "given_name", "phone_numbers", "postal_addresses", "custom_fields", "identifiers", "add_tags", "add_lists", "triggers",
    "action_network:referrer_data",
)  # fmt: skip


@pytest.mark.parametrize(
    "value",
    [None, "", {}, [], 0, False, ["x"], {"x": 1}, "x\x00\ud800", 2**70, "x" * 60_000],
    ids=lambda value: ascii(value)[:20],
)
def test_no_sign_up_is_refused_over_an_untidy_optional_field(door: Client, house: Deps, value: object):
    bodies = [fresh(**{name: value}) for name in OURS]
    bodies += [
        raw({"person": {"email_addresses": {"address": "ines@example.org"}, name: value}, name: value})
        for name in THEIRS
    ]
    fitting = [body for body in bodies if len(body) <= BODY_LIMIT]
    for body in fitting:
        assert door.send("POST", URL, HEADERS, body).status == 200
    intake.drain(house, bell.INTAKE)
    assert {(event.state, event.attempts) for body in fitting for event in stored(house, body)} == {("applied", 1)}
